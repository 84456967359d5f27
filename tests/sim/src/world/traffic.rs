//! Users' requests: where the programmed proxies send them, how many fail, and what is counted of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{Cluster, Part, Settings, controller, gateway::Backends, replica_set, settings::Version, text};
use crate::{
    apiserver::{kinds::Kind, store::Store},
    scenario::given::CANDIDATE,
};

/// Requests a second that go to the users' Services past the gateway.
const DIRECT: f64 = 10.0;

/// Requests that have come for so long are in metrics: a scrape, a window, and the delay of its samples.
const SEEN: Duration = Duration::from_secs(5);

/// What is counted of one ReplicaSet's requests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// All.
    pub total: f64,
    /// Failed ones.
    pub bad: f64,
    /// Slow ones.
    pub slow: f64,
    /// Lookups that missed.
    pub missed: f64,
}

impl Tally {
    fn add(&mut self, other: Self, times: f64) {
        self.total += other.total * times;
        self.bad += other.bad * times;
        self.slow += other.slow * times;
        self.missed += other.missed * times;
    }

    fn of(requests: f64, version: &Version) -> Self {
        Self {
            total: requests,
            bad: requests * version.errors / 100.0,
            slow: requests * version.slow / 100.0,
            missed: requests * version.misses / 100.0,
        }
    }

    /// What came since `earlier`.
    #[must_use]
    pub fn since(mut self, earlier: Self) -> Self {
        self.add(earlier, -1.0);
        self
    }
}

/// Requests that reached no pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// From here …
    pub from: Instant,
    /// … to here.
    pub to: Instant,
    /// How many.
    pub requests: f64,
    /// Which Service they were for.
    pub service: String,
    /// Why.
    pub why: String,
}

/// One proxy of the gateway: what it was told last, by route.
#[derive(Default)]
struct Proxy {
    weights: BTreeMap<String, Backends>,
    /// Services that it knows.
    clusters: BTreeMap<String, BTreeSet<String>>,
}

/// Proxies that a gateway programs.
pub const PROXIES: usize = 2;

type Counts = BTreeMap<String, Tally>;

/// Users' requests.
pub struct Traffic {
    /// Simulated time begins here.
    pub start: Instant,
    at: Instant,
    proxies: [Proxy; PROXIES],
    /// Pods behind each Service, as the proxies see them.
    endpoints: BTreeMap<String, Vec<String>>,
    rates: Counts,
    last: BTreeMap<String, Instant>,
    /// Since when each ReplicaSet, and each Service, gets requests without a pause.
    busy: BTreeMap<String, Instant>,
    /// Requests a second that fail, by Service and reason.
    failing: BTreeMap<(String, String), f64>,
    counted: Counts,
    history: Vec<(Instant, Counts)>,
    /// Requests that reached no pod.
    pub failures: Vec<Failure>,
    /// Requests that reached one.
    pub served: f64,
    /// Versions behind the users' Services, for those who call them directly.
    pub direct: BTreeMap<String, BTreeSet<String>>,
}

impl Traffic {
    /// None yet.
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            at: start,
            proxies: <[Proxy; PROXIES]>::default(),
            endpoints: BTreeMap::new(),
            rates: Counts::new(),
            last: BTreeMap::new(),
            busy: BTreeMap::new(),
            failing: BTreeMap::new(),
            counted: Counts::new(),
            history: vec![(start, Counts::new())],
            failures: Vec::new(),
            served: 0.0,
            direct: BTreeMap::new(),
        }
    }

    /// A proxy learns of a route, in two parts of which `early` is the first. The worst order is assumed: the first proxy
    /// has the weights before it knows a new Service, the last one has the old weights when a Service is forgotten.
    pub fn program(&mut self, route: &str, backends: &Backends, proxy: usize, early: bool) {
        let named: BTreeSet<String> = backends.iter().map(|(service, _)| service.clone()).collect();
        let has_weights = early == (proxy == 0);
        let Some(proxy) = self.proxies.get_mut(proxy) else {
            return;
        };
        if has_weights {
            proxy.weights.insert(route.to_owned(), backends.clone());
        }
        let known = proxy.clusters.entry(route.to_owned()).or_default();
        if early {
            if known.is_empty() {
                known.clone_from(&named);
            }
            known.retain(|service| named.contains(service));
        } else {
            known.extend(named);
        }
    }

    /// Requests a second that a ReplicaSet gets.
    pub fn rate(&self, replica_set: &str) -> f64 {
        self.rates.get(replica_set).map_or(0.0, |rate| rate.total)
    }

    /// When a ReplicaSet got its last request, if it ever got one.
    pub fn last(&self, replica_set: &str) -> Option<Instant> {
        self.last.get(replica_set).copied()
    }

    /// Whether a ReplicaSet, or a Service, has got requests for so long that metrics must tell.
    pub fn is_seen_at(&self, name: &str, now: Instant) -> bool {
        self.busy
            .get(name)
            .is_some_and(|since| now.duration_since(*since) > SEEN)
    }

    /// Percent of the gateway's requests that each ReplicaSet gets.
    pub fn shares(&self) -> Vec<(String, f64)> {
        let all: f64 = self.rates.values().map(|rate| rate.total).sum();
        self.rates
            .iter()
            .map(|(set, rate)| (set.clone(), if all > 0.0 { rate.total * 100.0 / all } else { 0.0 }))
            .collect()
    }

    /// Counts up to now.
    fn advance(&mut self, now: Instant) {
        let length = now.duration_since(self.at).as_secs_f64();
        if length <= 0.0 {
            return;
        }
        for (set, rate) in &self.rates {
            self.counted.entry(set.clone()).or_default().add(*rate, length);
            self.served += rate.total * length;
            self.last.insert(set.clone(), now);
        }
        for ((service, why), rate) in &self.failing {
            let last = self
                .failures
                .iter_mut()
                .rev()
                .find(|failure| failure.service == *service && failure.why == *why && failure.to == self.at);
            if let Some(last) = last {
                last.to = now;
                last.requests += rate * length;
            } else {
                self.failures.push(Failure {
                    from: self.at,
                    to: now,
                    requests: rate * length,
                    service: service.clone(),
                    why: why.clone(),
                });
            }
        }
        self.at = now;
        self.history.push((now, self.counted.clone()));
    }

    /// What had been counted of several ReplicaSets at a moment.
    pub fn of_all(&mut self, replica_sets: &[String], moment: Instant) -> Tally {
        let mut all = Tally::default();
        for set in replica_sets {
            all.add(self.at(set, moment), 1.0);
        }
        all
    }

    /// What had been counted of a ReplicaSet at a moment.
    pub fn at(&mut self, replica_set: &str, moment: Instant) -> Tally {
        self.advance(Instant::now());
        let of = |counts: &Counts| counts.get(replica_set).copied().unwrap_or_default();
        let after = self.history.partition_point(|(at, _)| *at <= moment);
        let Some((earlier, before)) = self.history.get(after.saturating_sub(1)) else {
            return Tally::default();
        };
        let mut tally = of(before);
        if let Some((later, then)) = self.history.get(after) {
            let length = later.duration_since(*earlier).as_secs_f64();
            let part = moment.saturating_duration_since(*earlier).as_secs_f64() / length;
            tally.add(of(then).since(of(before)), part);
        }
        tally
    }

    fn fail(&mut self, service: &str, why: String, requests: f64) {
        *self.failing.entry((service.to_owned(), why)).or_default() += requests;
    }

    /// Sends `requests` a second to a Service.
    fn send(&mut self, store: &Store, settings: &Settings, service: &str, requests: f64) {
        self.busy.entry(service.to_owned()).or_insert(self.at);
        let pods: Vec<_> = store.list(Kind::Pod, None);
        let named = self.endpoints.get(service).cloned().unwrap_or_default();
        if named.is_empty() {
            self.fail(service, format!("Service {service} has no pods"), requests);
            return;
        }
        #[allow(clippy::cast_precision_loss, reason = "a handful of pods")]
        let each = requests / named.len() as f64;
        for name in named {
            match pods.iter().find(|pod| text(pod, "/metadata/name") == name) {
                Some(pod) if replica_set::is_cut_off(pod) => {
                    self.fail(
                        service,
                        format!("the node of a pod behind Service {service} is lost"),
                        each,
                    );
                }
                Some(pod) => {
                    let set = owner(pod);
                    let version = settings.version(replica_set::tag(&pod["spec"]));
                    self.rates.entry(set).or_default().add(Tally::of(each, &version), 1.0);
                }
                None => self.fail(service, format!("a pod behind Service {service} is gone"), each),
            }
        }
    }

    fn recompute(&mut self, store: &Store, settings: &Settings) {
        self.rates.clear();
        self.failing.clear();
        let before = std::mem::take(&mut self.busy);
        let routes: BTreeSet<String> = store
            .list(Kind::HttpRoute, None)
            .iter()
            .map(|route| text(route, "/metadata/name").to_owned())
            .collect();
        for proxy in &mut self.proxies {
            // One that is applied again is another one.
            proxy.weights.retain(|route, _| routes.contains(route));
            proxy.clusters.retain(|route, _| routes.contains(route));
        }
        for proxy in 0..self.proxies.len() {
            for (route, backends) in self.proxies[proxy].weights.clone() {
                let all: i64 = backends.iter().map(|(_, weight)| weight).sum();
                if all == 0 || !routes.contains(&route) {
                    continue;
                }
                for (service, weight) in backends.iter().filter(|(_, weight)| *weight > 0) {
                    #[allow(clippy::cast_precision_loss, reason = "weights are small")]
                    let requests = settings.requests / 2.0 * *weight as f64 / all as f64;
                    let clusters = &self.proxies[proxy].clusters;
                    if clusters.get(&route).is_some_and(|known| known.contains(service)) {
                        self.send(store, settings, service, requests);
                    } else {
                        self.fail(service, format!("a proxy does not know Service {service}"), requests);
                    }
                }
            }
        }
        self.direct.clear();
        let pods = store.list(Kind::Pod, None);
        for service in store.list(Kind::Service, None) {
            let name = text(&service, "/metadata/name").to_owned();
            if settings.hooks.contains_key(&name) {
                continue;
            }
            let behind = self.endpoints.get(&name).cloned().unwrap_or_default();
            let versions = behind
                .iter()
                .filter_map(|one| pods.iter().find(|pod| text(pod, "/metadata/name") == one))
                .map(|pod| replica_set::tag(&pod["spec"]).to_owned());
            self.direct.insert(name.clone(), versions.collect());
            let made = service.pointer("/metadata/labels/warmfront.dev~1rollout").is_some();
            // Nobody knows a candidate's Service before the route leads to it.
            if !made && name != CANDIDATE && !self.proxies[1].weights.is_empty() {
                self.send(store, settings, &name, DIRECT);
            }
        }
        for set in self.rates.keys() {
            self.busy.insert(set.clone(), self.at);
        }
        for (name, since) in &mut self.busy {
            *since = before.get(name).copied().unwrap_or(*since);
        }
    }
}

/// Name of a pod's ReplicaSet.
fn owner(pod: &serde_json::Value) -> String {
    debug_assert!(controller(pod).is_some(), "a pod without an owner");
    text(pod, "/metadata/ownerReferences/0/name").to_owned()
}

impl Cluster {
    /// Counts requests up to now, then looks where they go from now on.
    pub fn see_traffic(&mut self, now: Instant) {
        self.traffic.advance(now);
        self.traffic.recompute(&self.store, &self.settings);
    }
}

/// Proxies learn of pods.
pub struct DataPlane;

impl Part for DataPlane {
    fn follows(&self, kind: Kind) -> bool {
        matches!(kind, Kind::EndpointSlice | Kind::Pod | Kind::HttpRoute)
    }
    fn delay(&self, _: &Settings) -> Duration {
        Duration::from_millis(40)
    }
    fn act(&mut self, cluster: &mut Cluster, now: Instant) -> Option<Instant> {
        let mut endpoints: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for slice in cluster.store.list(Kind::EndpointSlice, None) {
            // A pod that has none of the Service's ports gets no requests, however ready it is.
            if slice["ports"] == serde_json::json!([]) {
                continue;
            }
            let service = text(&slice, "/metadata/labels/kubernetes.io~1service-name").to_owned();
            let ready = slice["endpoints"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|endpoint| endpoint["conditions"]["ready"] == true);
            endpoints
                .entry(service)
                .or_default()
                .extend(ready.map(|endpoint| text(endpoint, "/targetRef/name").to_owned()));
        }
        cluster.traffic.endpoints = endpoints;
        cluster.see_traffic(now);
        None
    }
}
