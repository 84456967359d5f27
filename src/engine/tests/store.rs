//! The metrics store of the small cluster.

use super::{
    super::contract::{
        DrainQuestion, InspectionQuestion,
        observed::{Drained, Inspected, Measured},
    },
    world::World,
};
use crate::{
    api::status::Cause,
    provider::{Counts, Quantity, Question, Reading},
};

impl World {
    /// What the metrics store says of a version that has lost its traffic.
    pub fn look_for_requests(&self, asked: &DrainQuestion) -> Drained {
        let seconds = asked.question.end.duration_since(asked.question.start).as_secs_f64();
        Drained {
            revision: asked.revision.clone(),
            needs: asked.needs,
            end: asked.question.end,
            requests: self.answers.then_some(self.lagging * seconds),
        }
    }

    /// What the metrics store says of the version that serves.
    pub fn inspect(&mut self, asked: &InspectionQuestion) -> Inspected {
        self.inspections += 1;
        let of = |quantity: &Quantity| match self.lacks {
            Some((cause, why)) if !matches!(quantity, Quantity::Scalar { .. }) => Err((cause, why.to_owned())),
            _ => self.reading(quantity, &asked.question, self.stable_bad),
        };
        Inspected {
            revision: asked.revision.clone(),
            basis: asked.basis.clone(),
            readings: asked.question.quantities.iter().map(of).collect(),
            scraped_twice: self.scraped_twice.map(str::to_owned),
        }
    }

    /// What the metrics store answers.
    pub fn measure(&self, question: &Question) -> Measured {
        let before = question.subject.candidate == question.subject.baseline;
        // Before the first weight the old version is asked for in the new one's place.
        let bad = if before { self.baseline_bad } else { self.bad };
        let of = |quantity: &Quantity| match quantity {
            Quantity::Lookups if !before => self.reading(quantity, question, self.missed.unwrap_or(bad)),
            _ => self.reading(quantity, question, bad),
        };
        Measured {
            start: question.start,
            end: question.end,
            readings: question.quantities.iter().map(of).collect(),
        }
    }

    fn reading(&self, quantity: &Quantity, question: &Question, bad: f64) -> Result<Reading, (Cause, String)> {
        let seconds = question.end.duration_since(question.start).as_secs_f64();
        assert!(seconds > 0.0, "a tick has a length");
        let counts = |bad: f64| Counts {
            bad: bad * 60.0 * seconds,
            total: 60.0 * seconds,
        };
        match quantity {
            _ if !self.answers => Err((Cause::ProviderDown, "down".to_owned())),
            Quantity::Requests if self.lacks_requests => Err((Cause::ProviderDown, "down".to_owned())),
            Quantity::Scalar { promql } => Ok(Reading::Scalar {
                candidate: bad,
                baseline: promql.contains("{{candidate").then_some(self.baseline_bad),
            }),
            _ => Ok(Reading::Counts {
                candidate: counts(bad),
                baseline: Some(counts(self.baseline_bad)),
                candidate_figure: Some(bad),
                baseline_figure: Some(self.baseline_bad),
            }),
        }
    }
}
