//! Requests, failed requests and lookups from counters. Of each version the first metric counts that tells bad from good.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        Series, names, query,
        words::{self, Told},
    },
    Asked, Delta, Tally, absent, of_metric,
};
use crate::{
    api::status::Cause,
    provider::{Counts, NoData, Protocol, Version, Whose},
};

/// A metric that takes the place of one that tells nothing must count at least this share of what that one counted:
/// otherwise it counts something else.
const AS_MANY: f64 = 0.9;
/// So many more that one may have counted: the two are not written at the same moment.
const APART: f64 = 5.0;

fn not_readable(message: String) -> NoData {
    NoData {
        cause: Cause::NotReadable,
        message,
    }
}

/// What a version's series of one metric add up to.
#[derive(Default)]
struct Sum {
    counts: Counts,
    /// What those counted that do not tell bad from good, and how they look.
    dark: f64,
    seen: BTreeSet<String>,
    /// Whether any series tells.
    tells: bool,
}

impl Sum {
    fn add(&mut self, told: Told, count: f64) {
        match told {
            Told::Good | Told::Bad => {
                self.tells = true;
                self.counts.total += count;
                self.counts.bad += if told == Told::Bad { count } else { 0.0 };
            }
            Told::Aside => self.tells = true,
            Told::Unknown(seen) => {
                self.dark += count;
                self.seen.insert(seen);
            }
            Told::Nothing => self.dark += count,
        }
    }

    /// Whether everything that was counted tells bad from good.
    fn is_readable(&self) -> bool {
        self.tells && self.dark <= 0.0
    }

    fn all(&self) -> f64 {
        self.counts.total + self.dark
    }
}

fn tally(counts: Counts) -> Tally {
    let counts = Counts {
        bad: counts.bad.clamp(0.0, counts.total.max(0.0)),
        ..counts
    };
    Tally {
        counts,
        figure: (counts.total > 0.0).then(|| counts.bad / counts.total),
    }
}

/// Requests and failed requests of a version, from the metrics of its pods.
pub(super) fn requests_of_pods(
    asked: &Asked<'_>,
    series: &[Series],
    others: &[Series],
    delta: &mut Delta<'_>,
) -> Result<Tally, NoData> {
    let mut sum = Counts::default();
    for protocol in query::spoken(&asked.question.subject) {
        let part = of_protocol(asked, protocol, series, others, delta)?;
        sum.bad += part.bad;
        sum.total += part.total;
    }
    Ok(tally(sum))
}

fn of_protocol(
    asked: &Asked<'_>,
    protocol: Protocol,
    series: &[Series],
    others: &[Series],
    delta: &mut Delta<'_>,
) -> Result<Counts, NoData> {
    let mut passed_over: Vec<(&str, Sum)> = Vec::new();
    let mut stale = None;
    for name in names::counts(protocol) {
        let own = of_metric(series, name);
        if own.is_empty() {
            continue;
        }
        if let Err(error) = absent::not_stale(asked, own.iter().copied()) {
            stale.get_or_insert(error);
            continue;
        }
        let sum = add_up(protocol, &own, &of_metric(others, name), delta);
        let covers = |(_, other): &(&str, Sum)| sum.counts.total + APART >= AS_MANY * other.all();
        if sum.is_readable() && passed_over.iter().all(covers) {
            return Ok(sum.counts);
        }
        passed_over.push((name, sum));
    }
    match (passed_over.as_slice(), stale) {
        ([], Some(stale)) => Err(stale),
        ([], None) => Err(nothing_of(asked.question.whose, protocol)),
        (passed_over, _) => Err(not_readable(format!(
            "failed requests of {} cannot be told from others: {}",
            asked.question.whose,
            passed_over
                .iter()
                .map(|(name, sum)| why(protocol, name, sum))
                .collect::<Vec<_>>()
                .join("; ")
        ))),
    }
}

fn add_up(protocol: Protocol, own: &[&Series], others: &[&Series], delta: &mut Delta<'_>) -> Sum {
    let read = match protocol {
        Protocol::Http => words::status,
        Protocol::Grpc => words::grpc_status,
    };
    let has_status = own.iter().chain(others).any(|one| !matches!(read(one), Told::Nothing));
    let mut sum = Sum::default();
    for one in own {
        let told = match read(one) {
            Told::Nothing if has_status && protocol == Protocol::Http && words::leaves_out_unanswered(one) => Told::Bad,
            told => told,
        };
        sum.add(told, delta(one));
    }
    sum
}

/// Why a metric was passed over.
fn why(protocol: Protocol, name: &str, sum: &Sum) -> String {
    let labels = match protocol {
        Protocol::Http => words::status_labels(),
        Protocol::Grpc => words::grpc_labels(),
    };
    if sum.is_readable() {
        format!("{name} counts other requests")
    } else if !sum.seen.is_empty() {
        format!(
            "{name} says {}, which is no code or class of codes",
            words::list(&sum.seen)
        )
    } else if sum.tells {
        format!("{name} has series without a status")
    } else {
        format!("{name} has no label with a status ({labels} or another that docs/metrics.md lists)")
    }
}

fn nothing_of(whose: Whose, protocol: Protocol) -> NoData {
    let names = names::counts(protocol).join(" or ");
    match protocol {
        Protocol::Http => NoData {
            cause: Cause::NoTraffic,
            message: format!(
                "no HTTP request has reached {whose} yet: it has none of the series that docs/metrics.md lists, such as {}",
                names::counts(protocol)[0]
            ),
        },
        Protocol::Grpc => not_readable(format!(
            "a GRPCRoute needs gRPC statuses, and {whose} has no series {names}: let its pods count calls by status"
        )),
    }
}

/// Lookups and misses of a version.
pub(super) fn lookups(asked: &Asked<'_>, series: &[Series], delta: &mut Delta<'_>) -> Result<Tally, NoData> {
    absent::not_stale(asked, series.iter())?;
    let mut sum = Sum::default();
    for one in series {
        sum.add(words::lookup(one), delta(one));
    }
    if sum.is_readable() {
        return Ok(tally(sum.counts));
    }
    let name = names::LOOKUPS;
    let labels = words::result_labels();
    let why = if sum.seen.is_empty() {
        format!("{name} has series without any of the labels {labels}")
    } else {
        format!("{name} says {}, which is not known", words::list(&sum.seen))
    };
    Err(not_readable(format!(
        "misses cannot be told from hits: {why}; write result=\"hit\", \"miss\", \"stale\", \"error\" or \"bypass\""
    )))
}

/// What a pair of counters counted for a version, whatever other labels they have.
pub(super) fn pair(
    asked: &Asked<'_>,
    (bad, total): (&str, &str),
    series: &[Series],
    delta: &mut Delta<'_>,
) -> Result<Tally, NoData> {
    let all = of_metric(series, total);
    if all.is_empty() {
        return Err(NoData {
            cause: Cause::Empty,
            message: format!(
                "{} has {bad} and no series {total}: let the app export it as 0 from the start",
                asked.question.whose
            ),
        });
    }
    absent::not_stale(asked, all.iter().copied())?;
    let mut sum = |series: Vec<&Series>| series.into_iter().map(&mut *delta).sum();
    Ok(tally(Counts {
        total: sum(all),
        bad: sum(of_metric(series, bad)),
    }))
}

/// What Envoy counted for one of a version's ports.
#[derive(Default)]
struct Cluster {
    /// Requests by their HTTP status.
    http: Sum,
    /// Calls by their gRPC status.
    grpc: Sum,
    /// Calls with the status `UNAVAILABLE`.
    unavailable: f64,
}

impl Cluster {
    /// Requests and failed ones. Where Envoy answers a call itself, it counts both a 503 and `UNAVAILABLE`.
    fn counts(&self) -> Counts {
        let answered_by_envoy = self.unavailable.min(self.http.counts.bad);
        Counts {
            bad: self.http.counts.bad - answered_by_envoy + self.grpc.counts.bad,
            total: self.http.counts.total,
        }
    }
}

/// Requests and failed requests of a version, from the metrics of Envoy.
pub(super) fn requests_of_clusters(
    asked: &Asked<'_>,
    series: &[Series],
    side: &Version,
    delta: &mut Delta<'_>,
) -> Result<Tally, NoData> {
    absent::not_stale(asked, series.iter())?;
    let mut clusters: BTreeMap<u16, Cluster> = BTreeMap::new();
    for one in series {
        let subject = &asked.question.subject;
        let Some(port) = query::port_of_cluster(one.label("envoy_cluster_name"), subject, side) else {
            continue;
        };
        let cluster = clusters.entry(port).or_default();
        let count = delta(one);
        match one.label("__name__").strip_prefix(names::ENVOY_GRPC) {
            None => cluster.http.add(words::status(one), count),
            Some(code) => {
                cluster.unavailable += if code == "14" { count } else { 0.0 };
                let told = words::grpc(code).unwrap_or_else(|| Told::Unknown(format!("status {code}")));
                cluster.grpc.add(told, count);
            }
        }
    }
    let mut sum = Counts::default();
    for (port, cluster) in &clusters {
        readable(asked, *port, side, cluster)?;
        let counts = cluster.counts();
        sum.bad += counts.bad;
        sum.total += counts.total;
    }
    Ok(tally(sum))
}

/// Refuses a port whose failed requests are not seen.
fn readable(asked: &Asked<'_>, port: u16, side: &Version, cluster: &Cluster) -> Result<(), NoData> {
    if cluster.http.dark > 0.0 || cluster.grpc.dark > 0.0 {
        let seen = cluster.http.seen.union(&cluster.grpc.seen).cloned().collect();
        return Err(not_readable(format!(
            "failed requests at port {port} cannot be told from others: Envoy says {}",
            words::list(&seen)
        )));
    }
    let is_spoken = |protocol| side.ports.contains(&(port, protocol));
    let only_grpc = if side.ports.is_empty() {
        query::spoken(&asked.question.subject) == [Protocol::Grpc]
    } else {
        is_spoken(Protocol::Grpc) && !is_spoken(Protocol::Http)
    };
    if only_grpc && !cluster.grpc.tells && cluster.http.counts.total > 0.0 {
        return Err(not_readable(format!(
            "failed calls at port {port} of a GRPCRoute cannot be told from others: they have the HTTP status 200, and this Envoy does not count gRPC statuses ({}0 and so on): give it the filter grpc_stats, as Contour does, or use preset app",
            names::ENVOY_GRPC
        )));
    }
    Ok(())
}
