//! Asks Prometheus for the past: long stretches of time one after the other, and reads each scrape in them as a tick of the controller.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Timestamp};

use super::{
    past::{Answer, Past},
    sides::Sides,
};
use crate::{
    api::{Duration, metric_source::MetricSourceSpec, moment::Moment as _, plan::PlannedCheck, status::Cause},
    engine::judge::ticks,
    provider::{
        NoData, Quantity, Question,
        prometheus::{self, Ask, FollowUp, Interpretation, Known, LONGEST_WINDOW, Layer, Replies, Value, Values},
        shell::{Span, StoreClient},
    },
};

/// More answers are not kept: 200 MB.
const MOST_ANSWERS: usize = 2_000_000;
/// So many samples of counters are asked for at once: half of what is read of a reply.
const SAMPLES_AT_ONCE: usize = 100_000;
/// So many values of an expression: Prometheus gives 11,000.
const VALUES_AT_ONCE: usize = 5_000;
/// The first stretch is so long, …
const FIRST_STRETCH: SignedDuration = SignedDuration::from_mins(30);
/// … none is longer, …
const LONGEST_STRETCH: SignedDuration = SignedDuration::from_hours(12);
/// … and one that cannot be answered is halved, down to this.
const SHORTEST_STRETCH: SignedDuration = SignedDuration::from_mins(5);
/// After a gap a tick looks back no further than this, as in the controller.
const LONGEST_TICK: SignedDuration = SignedDuration::from_mins(5);

/// Figures are of a minute, as the controller shows them.
const FIGURES_WINDOW: SignedDuration = SignedDuration::from_mins(1);
/// Before a release its old version is looked back on with eight questions of five intervals, and what is late of them.
const INTERVALS_BEFORE: i32 = 45;
/// As much as a question looks back itself.
const ROOM_BEFORE: SignedDuration = SignedDuration::from_mins(10);

/// Where the past is read from, and whose.
pub struct Source<'a> {
    /// Asks it.
    pub store: &'a StoreClient,
    /// What it is.
    pub spec: &'a MetricSourceSpec,
    /// The two versions.
    pub sides: &'a Sides,
    /// What is measured.
    pub checks: &'a [PlannedCheck],
}

/// Checks that one query answers.
struct Group {
    checks: Vec<usize>,
    quantities: Vec<Quantity>,
}

/// What was read of a stretch: of each check an answer for each scrape, and how many samples that took.
struct Stretch {
    columns: Vec<Vec<Answer>>,
    samples: usize,
}

/// Reads all checks over a time. `tell` is told what is read, and which part of it is done.
pub async fn read(source: &Source<'_>, span: Span, tell: &mut dyn FnMut(&str, f64)) -> anyhow::Result<Past> {
    let step = source.spec.scrape_interval;
    let mut past = Past::new(span.start, span.end, step, source.checks.len());
    let answers = past.scrapes().saturating_mul(source.checks.len());
    if answers > MOST_ANSWERS {
        bail!(
            "from {} to {} are {} scrapes of {} checks, and at most {MOST_ANSWERS} answers are kept: shorten the time between --from and --to, or look at fewer checks at once",
            span.start,
            span.end,
            past.scrapes(),
            source.checks.len()
        );
    }
    for group in groups(source.checks) {
        for (check, column) in group.checks.iter().zip(source.group(&past, &group, tell).await?) {
            past.set(*check, column);
        }
    }
    refuse_nothing(&past, source, span)?;
    Ok(past)
}

/// A past in which nothing was measured is no past.
fn refuse_nothing(past: &Past, source: &Source<'_>, span: Span) -> anyhow::Result<()> {
    let mut columns = (0..source.checks.len()).map(|check| past.column(check));
    let last = columns.clone().find_map(|column| column.last()?.clone().err());
    let none = columns.all(|column| column.iter().all(Result::is_err));
    match last.filter(|_| none) {
        Some(why) => bail!(
            "no check has any data between {} and {}: {}; try the expression in Prometheus for that time, or see docs/metrics.md",
            span.start,
            span.end,
            why.message
        ),
        None => Ok(()),
    }
}

/// Counters of the same series are asked for once.
fn groups(checks: &[PlannedCheck]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (index, check) in checks.iter().enumerate() {
        let quantity = ticks::quantity(&check.kind);
        let kind = std::mem::discriminant(&quantity);
        let shared = groups.iter_mut().find(|group| {
            let has_own_series = matches!(quantity, Quantity::Scalar { .. } | Quantity::Ratio { .. });
            !has_own_series && group.quantities.iter().all(|one| std::mem::discriminant(one) == kind)
        });
        match shared {
            Some(group) => {
                group.checks.push(index);
                group.quantities.push(quantity);
            }
            None => groups.push(Group {
                checks: vec![index],
                quantities: vec![quantity],
            }),
        }
    }
    groups
}

/// A smaller question may be answered.
fn may_be_halved(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::BadReply | Cause::ProviderDown | Cause::PartialReply | Cause::BadQuery
    )
}

fn scrapes_in(length: SignedDuration, step: SignedDuration) -> usize {
    let scrapes = length.as_millis().checked_div(step.as_millis()).unwrap_or(1);
    usize::try_from(scrapes).unwrap_or(1).max(1)
}

/// How many scrapes are asked for next, when so many have given so many samples.
fn next_length(length: usize, samples: usize, longest: usize) -> usize {
    let fits = length
        .saturating_mul(SAMPLES_AT_ONCE)
        .checked_div(samples.max(1))
        .unwrap_or(length);
    fits.clamp(1, length.saturating_mul(4)).min(longest)
}

impl Source<'_> {
    /// The answers of one query's checks for each scrape.
    async fn group(
        &self,
        past: &Past,
        group: &Group,
        tell: &mut dyn FnMut(&str, f64),
    ) -> anyhow::Result<Vec<Vec<Answer>>> {
        let mut columns = vec![Vec::with_capacity(past.scrapes()); group.checks.len()];
        let names: Vec<&str> = group
            .checks
            .iter()
            .filter_map(|check| Some(self.checks.get(*check)?.name.as_str()))
            .collect();
        let names = names.join(", ");
        let longest = scrapes_in(LONGEST_STRETCH, past.step());
        let shortest = scrapes_in(SHORTEST_STRETCH, past.step());
        let (mut at, mut length) = (0, scrapes_in(FIRST_STRETCH, past.step()));
        while at < past.scrapes() {
            tell(&names, part(at, past.scrapes()));
            let to = at.saturating_add(length).min(past.scrapes());
            match self.stretch(past, group, at, to).await {
                Ok(stretch) => {
                    length = next_length(to.saturating_sub(at), stretch.samples, longest);
                    at = to;
                    for (all, more) in columns.iter_mut().zip(stretch.columns) {
                        all.extend(more);
                    }
                }
                Err(why) if may_be_halved(why.cause) && to.saturating_sub(at) > shortest => {
                    length = to.saturating_sub(at) / 2;
                }
                Err(why) => {
                    let what = format!("reading {names} from {} to {}", past.end(at), past.end(to));
                    return Err(why).with_context(|| what);
                }
            }
        }
        tell(&names, 1.0);
        Ok(columns)
    }

    /// The scrapes that end after the `from`-th, up to the `to`-th.
    async fn stretch(&self, past: &Past, group: &Group, from: usize, to: usize) -> Result<Stretch, NoData> {
        let whole = self.question(group, past.end(from), past.end(to));
        let length = past
            .end(to)
            .duration_since(past.end(from))
            .saturating_add(LONGEST_WINDOW);
        let mut asks = prometheus::queries_over(self.spec, &whole, length).into_iter();
        let Some((layer, ask)) = asks.next() else {
            return Ok(Stretch {
                columns: vec![Vec::new(); group.checks.len()],
                samples: 0,
            });
        };
        let ask = ask?;
        if let Layer::Scalar(_) = layer {
            let span = Span {
                start: past.end(from.saturating_add(1)),
                end: past.end(to),
            };
            let mut answers = vec![(layer, self.values_of(&ask, span).await?)];
            for (of_baseline, ask) in asks {
                answers.push((of_baseline, self.values_of(&ask?, span).await?));
            }
            return Ok(self.values(past, group, (from, to), &answers));
        }
        let value = self.store.ask_once(self.spec, &ask).await?;
        let scrapes = Scrapes {
            source: self,
            past,
            group,
            layer,
            value: &value,
        };
        let (columns, unknown) = scrapes.read(from, to, None);
        let columns = if unknown == FollowUp::default() {
            columns
        } else {
            let known = self.ask_more(&whole, &unknown, length).await?;
            scrapes.read(from, to, Some(&known)).0
        };
        let samples = match &value {
            Value::Matrix(series) => series.iter().map(|one| one.samples.len()).sum(),
            Value::Vector(_) | Value::Scalar(_) | Value::Text => 0,
        };
        Ok(Stretch { columns, samples })
    }

    async fn values_of(&self, ask: &Ask, span: Span) -> Result<Values, NoData> {
        let every = self.spec.scrape_interval;
        self.store.ask_values(self.spec, ask, span, every).await
    }

    /// What replies leave open, asked for the whole stretch.
    async fn ask_more(&self, whole: &Question, unknown: &FollowUp, length: SignedDuration) -> Result<More, NoData> {
        let mut more = More::default();
        if !unknown.ages_of.is_empty() {
            let ask = prometheus::ask_targets_over(self.spec, whole, &unknown.ages_of, length);
            let value = self.store.ask_once(self.spec, &ask).await?;
            more.known.ages = prometheus::read_ages(&value);
        }
        if unknown.pods {
            let ask = prometheus::ask_pods_over(self.spec, whole, length);
            more.pods = Some(self.store.ask_once(self.spec, &ask).await?);
        }
        if unknown.native {
            // A store that knows no native histograms refuses the query.
            let reply = self
                .store
                .ask_once(self.spec, &prometheus::ask_native(self.spec, whole))
                .await;
            more.known.native = reply.is_ok_and(|value| prometheus::read_native(&value));
        }
        Ok(more)
    }

    fn values(&self, past: &Past, group: &Group, (from, to): (usize, usize), answers: &[(Layer, Values)]) -> Stretch {
        let step = past.step().as_secs_f64();
        let mut words = Words::default();
        let mut column = Vec::with_capacity(to.saturating_sub(from));
        for n in from..to {
            let end = past.end(n.saturating_add(1));
            let question = self.question(group, past.end(n), end);
            let at_end = answers
                .iter()
                .map(|(layer, values)| (*layer, Ok(prometheus::value_at(values, end, step))));
            let replies: Replies = at_end.collect();
            let answer = match prometheus::interpret(self.spec, &question, &replies, None) {
                Interpretation::Done(answer) => answer.into_iter().next(),
                Interpretation::Ask(_) => None,
            };
            column.extend(answer.map(|one| words.shared(one)));
        }
        // So that the next stretch is not longer than a store gives values.
        let samples = to.saturating_sub(from).saturating_mul(SAMPLES_AT_ONCE / VALUES_AT_ONCE);
        Stretch {
            columns: vec![column],
            samples,
        }
    }

    fn question(&self, group: &Group, start: Timestamp, end: Timestamp) -> Question {
        Question {
            whose: self.sides.whose,
            subject: self.sides.subject.clone(),
            start,
            end,
            figures_since: end.minus(FIGURES_WINDOW),
            // Whether a pod came with a release is not known: its target's own scrapes tell.
            run_started: end,
            quantities: group.quantities.clone(),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a share for people")]
fn part(done: usize, all: usize) -> f64 {
    done as f64 / all.max(1) as f64
}

/// What was asked afterwards.
#[derive(Default)]
struct More {
    known: Known,
    pods: Option<Value>,
}

/// Says the same words once.
#[derive(Default)]
struct Words(Option<Arc<NoData>>);

impl Words {
    fn shared(&mut self, answer: Result<crate::provider::Reading, NoData>) -> Answer {
        answer.map_err(|error| match &self.0 {
            Some(last) if last.cause == error.cause => last.clone(),
            _ => {
                let new = Arc::new(error);
                self.0 = Some(new.clone());
                new
            }
        })
    }
}

/// Scrapes of one reply.
struct Scrapes<'a> {
    source: &'a Source<'a>,
    past: &'a Past,
    group: &'a Group,
    layer: Layer,
    value: &'a Value,
}

impl Scrapes<'_> {
    /// Reads them one after the other. After scrapes without data one counts from the last that had some, as a tick does.
    fn read(&self, from: usize, to: usize, more: Option<&More>) -> (Vec<Vec<Answer>>, FollowUp) {
        let mut columns = vec![Vec::with_capacity(to.saturating_sub(from)); self.group.checks.len()];
        let mut words: Vec<Words> = columns.iter().map(|_| Words::default()).collect();
        let mut unknown = FollowUp::default();
        let mut start = self.past.end(from);
        let mut known = more.map(|more| more.known.clone());
        for n in from..to {
            let end = self.past.end(n.saturating_add(1));
            let question = self
                .source
                .question(self.group, start.max(end.minus(LONGEST_TICK)), end);
            if let (Some(known), Some(pods)) = (&mut known, more.and_then(|more| more.pods.as_ref())) {
                let spec = self.source.spec;
                known.up = prometheus::read_up(spec, &prometheus::shown_to(spec, &question, pods));
            }
            let answer = match self.answer(&question, known.as_ref()) {
                Interpretation::Done(answer) => answer,
                Interpretation::Ask(asked) => {
                    unknown.ages_of.extend(asked.ages_of);
                    unknown.pods |= asked.pods;
                    unknown.native |= asked.native;
                    start = end;
                    continue;
                }
            };
            if answer.iter().any(Result::is_ok) {
                start = end;
            }
            for ((column, words), one) in columns.iter_mut().zip(&mut words).zip(answer) {
                column.push(words.shared(one));
            }
        }
        (columns, unknown)
    }

    fn answer(&self, question: &Question, known: Option<&Known>) -> Interpretation {
        let spec = self.source.spec;
        let replies = Replies::from([(self.layer, Ok(prometheus::shown_to(spec, question, self.value)))]);
        prometheus::interpret(spec, question, &replies, known)
    }
}

/// How long before a release its old version is looked back on, at most.
pub fn look_back(interval: Duration) -> SignedDuration {
    interval
        .signed()
        .saturating_mul(INTERVALS_BEFORE)
        .saturating_add(ROOM_BEFORE)
}
