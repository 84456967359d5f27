//! What the judge says of one tick.

/// What follows from the tick, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// What is to be done.
    pub outcome: Outcome,
    /// Why the release is paused, while it is. Judging goes on and it ends by itself.
    pub pause: Option<Pause>,
    /// One for each check of the plan, in its order.
    pub checks: Vec<CheckJudgement>,
    /// What the message says.
    pub says: String,
    /// What the weight waits for, where all of it is of one kind.
    pub left: Option<Left>,
    /// What somebody should look at, although the release goes on.
    pub warnings: Vec<Warning>,
}

/// What a weight waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The hold.
    Time,
    /// Nothing that a person's Promote does not accept.
    Doubt,
}

/// What somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What it is about.
    pub about: About,
    /// In words, with numbers.
    pub says: String,
}

/// What a warning is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The release takes much longer than its holds.
    Long,
    /// The old version fails since the new one has traffic.
    Harm,
    /// The cache was not warm when the new version was promoted.
    Cold,
}

/// What is to be done. After a `StepBack` the memory is that of the lower weight already.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The limit of a check is broken, or what both share is harmed: all traffic goes back.
    Fail {
        /// How the release ends.
        reason: Reason,
        /// Which check, by its place in the plan.
        check: Option<usize>,
    },
    /// A limit is broken whose check only pauses.
    Pause {
        /// Which check, by its place in the plan.
        check: usize,
    },
    /// The weight falls to a planned one, or to 0; pods stay.
    StepBack {
        /// Weight, 0..1.
        to: f64,
        /// What was overloaded.
        why: Overload,
    },
    /// The weight stays.
    Hold {
        /// What it waits for, where it is not just the time.
        cause: Option<Cause>,
    },
    /// The weight may rise.
    Rise {
        /// Weight, 0..1: the next planned one or less.
        to: f64,
    },
    /// The bake has ended well.
    Promote,
}

/// How a release ends that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// More requests failed than `max` allows.
    ErrorRateAboveMax,
    /// More requests failed than the old version's share and `maxIncrease` allow.
    ErrorRateAboveStable,
    /// More requests were slow than the quantile allows.
    LatencyAboveMax,
    /// The hit ratio is below `min`.
    HitRatioBelowMin,
    /// The hit ratio is below the old version's by more than `maxDrop`, or without a limit by far.
    HitRatioBelowStable,
    /// A ratio or query is outside its limits.
    CheckFailed,
    /// The old version fails since the new one has traffic, and they share a cache.
    StableRegressed,
    /// What both share was overloaded again after a step back.
    OriginOverloaded,
}

/// What was overloaded by a weight that is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// Both versions fail since the raise, or the new one at a weight where nothing is left to compare with.
    Shared,
    /// The database carries more than it should, or is slow for a cold cache.
    Origin,
}

/// Why a release is paused by the judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pause {
    /// Both versions break a limit, again and again.
    SharedIncident,
    /// The database cannot carry a greater weight yet.
    OriginLimit,
    /// The share of bad ones stays too close to the limit.
    Inconclusive,
    /// Only the cache's warming is waited for, for long.
    WarmingSlow,
    /// There are too few requests, for long.
    FewSamples,
    /// There is no old version to compare with, for long.
    NoBaseline,
    /// The new version's requests are not there, for long.
    ShareMismatch,
    /// A check that only pauses is broken.
    CheckFailed,
}

/// What the weight or a check waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// There are fewer requests, lookups or values than a verdict needs.
    FewSamples,
    /// The limit is broken, and whether the old version breaks it too is not clear yet.
    Comparing,
    /// The old version breaks the limit too.
    SharedIncident,
    /// Far fewer requests reach the new version than its weight says.
    ShareMismatch,
    /// The old version has not been seen for long enough.
    NoBaseline,
    /// The database cannot carry more.
    OriginLimit,
}

/// What a check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The limit is kept.
    Pass,
    /// The limit is broken, and the new version has broken it.
    Fail,
    /// There is too little to tell, or nobody to blame.
    Wait,
    /// It could not be read.
    NoData,
}

/// What one check says, and of what.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckJudgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why it waits.
    pub cause: Option<Cause>,
    /// What it rests on.
    pub evidence: Evidence,
    /// The same in words, with numbers; empty while there is nothing to say.
    pub says: String,
}

/// Of how much the verdict is made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Bad ones of the new version.
    pub bad: f64,
    /// All of the new version.
    pub total: f64,
    /// Greatest allowed share of bad ones.
    pub limit: f64,
    /// Bad ones of the old version in the same time.
    pub baseline_bad: f64,
    /// All of the old version in the same time.
    pub baseline_total: f64,
    /// Since when, on the clock of `Tick::at`.
    pub since: f64,
    /// 0..1: at 1 the limit is broken.
    pub strength: f64,
    /// Requests of the run that the next weight asks for.
    pub needed: f64,
}
