//! The metrics store of the small cluster.

use super::{
    super::contract::{
        DrainQuestion,
        observed::{Drained, Measured},
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

    /// What the metrics store answers.
    pub fn measure(&self, question: &Question) -> Measured {
        let seconds = question.end.duration_since(question.start).as_secs_f64();
        assert!(seconds > 0.0, "a tick has a length");
        let reading = |quantity: &Quantity| match quantity {
            _ if !self.answers => Err((Cause::ProviderDown, "down".to_owned())),
            Quantity::Scalar { .. } => Ok(Reading::Scalar(self.bad)),
            _ => {
                let counts = Counts {
                    bad: self.bad * 60.0 * seconds,
                    total: 60.0 * seconds,
                };
                Ok(Reading::Counts {
                    candidate: counts,
                    baseline: None,
                    candidate_figure: Some(self.bad),
                    baseline_figure: None,
                })
            }
        };
        Measured {
            start: question.start,
            end: question.end,
            readings: question.quantities.iter().map(reading).collect(),
        }
    }
}
