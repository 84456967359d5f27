//! The validated form of a CanaryRollout's spec, with every default filled in.

mod bounds;
mod checks;
mod metadata;
mod steps;
mod traffic;
mod webhooks;

use super::{
    CanaryRolloutSpec, Duration, Percent,
    cache::Placement,
    check::{OnBreach, Quantile},
    rollout::Workload,
    traffic::{RouteRef, ServiceMetadata, Tester},
    webhook::{Before, ConfigMapKey, SecretKey},
    window::{PlannedWindow, Window},
};

/// A valid spec. The engine works with this and not with the spec, so that it meets neither gaps nor contradictions.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Name of the Deployment that is released; of a pair, the candidate's.
    pub deployment: String,
    /// Name of the baseline's Deployment, if the workload is a pair.
    pub baseline: Option<String>,
    /// Name of the Service that users' requests go to; of a pair, the baseline's.
    pub service: String,
    /// Name of the Service of the new version; of a pair, the candidate's.
    pub canary_service: String,
    /// What that Service carries besides what is copied from the user's.
    pub canary_service_metadata: ServiceMetadata,
    /// Names of other Services that select only the old version during a release.
    pub also_narrow: Vec<String>,
    /// Routes in which weights are set, none twice.
    pub routes: Vec<RouteRef>,
    /// Headers, none twice, that send a request to the new version whatever its weight.
    pub testers: Vec<Tester>,
    /// How long to wait, after the gateway has confirmed a weight, before requests count.
    pub settle: Duration,
    /// The steps: at least one, in rising order, the last one 100%.
    pub steps: Vec<PlannedStep>,
    /// How long the new version is judged at 100% before it is promoted; zero for no bake.
    pub bake: Duration,
    /// The checks, each with a name of its own; none only if the spec says `unjudged`.
    pub checks: Vec<PlannedCheck>,
    /// Who shares a cache with whom; nothing where the spec does not say.
    pub placement: Option<Placement>,
    /// How long an entry of the cache lives, if the spec says so.
    pub ttl: Option<Duration>,
    /// Name of the MetricSource.
    pub source: String,
    /// How often the checks are evaluated; `None` if the MetricSource decides.
    pub interval: Option<Duration>,
    /// A check without data for this long pauses the release.
    pub no_data_deadline: Duration,
    /// Pods or routes that are not ready for this long roll the release back.
    pub progress_deadline: Duration,
    /// How long the new version's pods stay after a rollback.
    pub keep_canary: Duration,
    /// How long the old version can be brought back after a promotion.
    pub keep_stable: Duration,
    /// Whether the spec pauses the release.
    pub paused: bool,
    /// When weights may rise; always, if there are no windows.
    pub windows: Vec<PlannedWindow>,
    /// Who is asked before the release goes on.
    pub gates: Vec<PlannedGate>,
    /// Who is told what becomes of a release.
    pub notifiers: Vec<PlannedNotifier>,
}

impl Plan {
    /// Two Deployments are released, one to the other.
    pub fn is_pair(&self) -> bool {
        self.baseline.is_some()
    }
}

/// One gate.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedGate {
    /// Its name, unique among the gates.
    pub name: String,
    /// When it is asked.
    pub before: Before,
    /// Where to send the question.
    pub webhook: PlannedWebhook,
    /// How long to ask before the release is paused for a person.
    pub deadline: Duration,
}

/// One notifier.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedNotifier {
    /// Its name, unique among the notifiers.
    pub name: String,
    /// Where to send the notification.
    pub webhook: PlannedWebhook,
}

/// Where a POST is sent, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedWebhook {
    /// Where to.
    pub address: Address,
    /// How long to wait for one answer.
    pub timeout: Duration,
    /// With which key it is signed, if it is.
    pub signing_key: Option<SecretKey>,
    /// Where the certificates of authorities are; `None`: those that everybody trusts.
    pub authorities: Option<ConfigMapKey>,
}

/// Where a webhook is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A URL.
    Url(String),
    /// The URL that is kept in an entry of a Secret, in the rollout's namespace.
    Secret(SecretKey),
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedStep {
    /// The share of requests that the new version gets, above 0.
    pub weight: Percent,
    /// Shortest time at this weight.
    pub hold: Duration,
    /// Whether the release waits for a Promote action after the hold.
    pub approval: bool,
}

/// The number of a step as people see it, from its index in the plan: steps are counted from 1, and `None`, before the first step, is 0.
pub fn step_number(index: Option<usize>) -> i32 {
    index.map_or(0, |index| i32::try_from(index.saturating_add(1)).unwrap_or(i32::MAX))
}

/// One check.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedCheck {
    /// Its name, unique among the checks.
    pub name: String,
    /// What is measured, and its limit.
    pub kind: CheckKind,
    /// What happens when it fails.
    pub on_breach: OnBreach,
}

/// What is measured, and its limit.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckKind {
    /// The share of requests that fail.
    ErrorRate {
        /// Greatest share allowed.
        max: Option<Percent>,
        /// Greatest difference allowed to the old version's before the release.
        max_increase: Option<Percent>,
    },
    /// The time to answer.
    Latency {
        /// At this quantile.
        quantile: Quantile,
        /// Longest time allowed.
        max: Duration,
    },
    /// The share of cache lookups that are hits.
    HitRatio {
        /// Smallest share allowed.
        min: Option<Percent>,
        /// Greatest difference allowed to the old version's before the release.
        max_drop: Option<Percent>,
    },
    /// The share of bad ones in a pair of counters.
    Ratio {
        /// Name of the metric that counts the bad ones.
        bad: String,
        /// Name of the metric that counts all of them.
        total: String,
        /// Greatest share allowed.
        max: Percent,
    },
    /// The value of a user's expression.
    Query {
        /// PromQL with placeholders.
        promql: String,
        /// Greatest value allowed.
        max: Option<f64>,
        /// Smallest value allowed.
        min: Option<f64>,
        /// The check fails if this many values, 1 to `of`, …
        breaches: usize,
        /// … of the last so many break the limit.
        of: usize,
    },
}

/// Why a spec is not valid: which field, what is wrong, what to do. It is the message of the condition `Accepted`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSpec(String);

/// Without data, or not ready, for this long.
const DEFAULT_DEADLINE: Duration = Duration::from_mins(10);
/// Pods without traffic are kept for this long.
const DEFAULT_KEEP: Duration = Duration::from_mins(10);
/// When a gateway reports a new weight, its proxies still use the old one for a moment; two seconds are enough for them.
const DEFAULT_SETTLE: Duration = Duration::from_secs(2);
/// A cache shows its real hit ratio once its entries have expired; in most caches that takes less than an hour.
const DEFAULT_BAKE: Duration = Duration::from_mins(60);
/// Where it is known how long entries live, so many quarters of that time.
const BAKE_QUARTERS: u64 = 5;
/// But not longer than this.
const LONGEST_DEFAULT_BAKE: Duration = Duration::from_mins(240);
/// The MetricSource that is asked where none is named.
pub const DEFAULT_SOURCE: &str = "default";
/// In a list of rules: all that have the Service as a backend.
pub const ALL_RULES: &str = "*";
/// Longest name that a Service may have, in characters.
const MAX_SERVICE_NAME: usize = 63;

impl TryFrom<&CanaryRolloutSpec> for Plan {
    type Error = InvalidSpec;

    fn try_from(spec: &CanaryRolloutSpec) -> Result<Self, Self::Error> {
        bounds::check(spec)?;
        Self::made(spec)
    }
}

impl Plan {
    /// The plan of a release that runs already. What of it is out of its range is brought into it: a release that a version with other
    /// bounds has begun is still judged and taken back.
    pub fn of_release(spec: &CanaryRolloutSpec) -> Result<Self, InvalidSpec> {
        Self::made(&bounds::clamped(spec))
    }

    fn made(spec: &CanaryRolloutSpec) -> Result<Self, InvalidSpec> {
        let Named {
            deployment,
            baseline,
            service,
            canary_service,
        } = named(spec)?;
        let metrics = spec.metrics.as_ref();
        let cache = spec.cache.as_ref();
        let ttl = cache.and_then(|cache| cache.ttl);
        Ok(Self {
            deployment,
            baseline,
            service,
            canary_service,
            canary_service_metadata: metadata::checked(&spec.traffic.canary_service_metadata)?,
            also_narrow: spec.traffic.also_narrow.clone(),
            routes: traffic::routes(&spec.traffic.gateway_api.routes)?,
            testers: traffic::testers(&spec.traffic.testers)?,
            settle: spec.traffic.settle.unwrap_or(DEFAULT_SETTLE),
            steps: steps::steps(spec)?,
            bake: spec.bake.unwrap_or_else(|| ttl.map_or(DEFAULT_BAKE, default_bake)),
            checks: checks::checks(spec)?,
            placement: cache.and_then(|cache| cache.placement),
            ttl,
            source: metrics
                .and_then(|metrics| metrics.source.clone())
                .unwrap_or_else(|| DEFAULT_SOURCE.to_owned()),
            interval: metrics.and_then(|metrics| metrics.interval),
            no_data_deadline: spec.no_data_deadline.unwrap_or(DEFAULT_DEADLINE),
            progress_deadline: spec.progress_deadline.unwrap_or(DEFAULT_DEADLINE),
            keep_canary: spec.keep_canary.unwrap_or(DEFAULT_KEEP),
            keep_stable: spec.keep_stable.unwrap_or(DEFAULT_KEEP),
            paused: spec.paused,
            windows: windows(&spec.windows)?,
            gates: webhooks::gates(&spec.gates)?,
            notifiers: spec.notify.iter().map(webhooks::notifier).collect::<Result<_, _>>()?,
        })
    }
}

/// Long enough to see the entries expire that the last step has written.
fn default_bake(ttl: Duration) -> Duration {
    Duration::from_millis(ttl.as_millis().saturating_mul(BAKE_QUARTERS) / 4).min(LONGEST_DEFAULT_BAKE)
}

/// The Service of a Deployment where none is named.
pub fn default_service(deployment: &str) -> &str {
    deployment
}

/// The new version's Service where none is named.
pub fn default_canary_service(service: &str) -> String {
    format!("{service}-canary")
}

/// The names of a workload's Deployments and Services, as in [`Plan`].
struct Named {
    deployment: String,
    baseline: Option<String>,
    service: String,
    canary_service: String,
}

fn named(spec: &CanaryRolloutSpec) -> Result<Named, InvalidSpec> {
    let traffic = &spec.traffic;
    match &spec.workload {
        Workload {
            deployment: Some(deployment),
            pair: None,
        } => {
            let service = traffic.service.as_deref();
            let service = service.unwrap_or_else(|| default_service(&deployment.name)).to_owned();
            let canary_service = traffic.canary_service.clone();
            let canary_service = canary_service.unwrap_or_else(|| default_canary_service(&service));
            if canary_service.len() > MAX_SERVICE_NAME {
                return Err(InvalidSpec(format!(
                    "spec.traffic.canaryService: the name {canary_service} is longer than {MAX_SERVICE_NAME} characters: name a shorter one"
                )));
            }
            if canary_service == service {
                return Err(InvalidSpec(
                    "spec.traffic: service and canaryService must differ".to_owned(),
                ));
            }
            Ok(Named {
                deployment: deployment.name.clone(),
                baseline: None,
                service,
                canary_service,
            })
        }
        Workload {
            deployment: None,
            pair: Some(pair),
        } => {
            let own = [&traffic.service, &traffic.canary_service];
            let asks = !traffic.also_narrow.is_empty() || !traffic.canary_service_metadata.is_empty();
            if asks || own.into_iter().any(Option::is_some) {
                return Err(InvalidSpec(
                    "spec.traffic: a pair names its Services itself: leave service, canaryService, canaryServiceMetadata and alsoNarrow out"
                        .to_owned(),
                ));
            }
            if pair.baseline.deployment == pair.candidate.deployment || pair.baseline.service == pair.candidate.service
            {
                return Err(InvalidSpec(
                    "spec.workload.pair: the two Deployments must differ, and the two Services".to_owned(),
                ));
            }
            Ok(Named {
                deployment: pair.candidate.deployment.clone(),
                baseline: Some(pair.baseline.deployment.clone()),
                service: pair.baseline.service.clone(),
                canary_service: pair.candidate.service.clone(),
            })
        }
        _ => Err(InvalidSpec(
            "spec.workload: name exactly one of deployment and pair".to_owned(),
        )),
    }
}

fn windows(windows: &[Window]) -> Result<Vec<PlannedWindow>, InvalidSpec> {
    let planned = |(index, window)| {
        PlannedWindow::try_from(window).map_err(|why| InvalidSpec(format!("spec.windows[{index}]: {why}")))
    };
    windows.iter().enumerate().map(planned).collect()
}
