//! Scenarios made from a seed: everybody does anything at any time, then the world calms down.

use serde_json::{Value, json};

use super::{
    Deed, Facts, Given, Scenario, Step,
    deed::{Act, CANARY_SERVICE, Side, What},
    given::{Bounds, NAME},
};
use crate::apiserver::refused::Refuse;

/// What a world may have happen to it.
struct World {
    random: fastrand::Rng,
    /// Hands also do what makes requests fail.
    harm: bool,
    pair: bool,
    /// The app has an autoscaler.
    scaled: bool,
    store: Store,
}

/// The metrics store of a world.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Store {
    Steady,
    BreaksNowAndThen,
}

impl Store {
    /// Longest that a proxy is late, in seconds: less than `progressDeadline`, after which nothing is waited for, and where
    /// metrics break less than the minute that is given where nothing can be measured.
    fn latest_proxy(self) -> f64 {
        match self {
            Self::Steady => 100.0,
            Self::BreaksNowAndThen => 45.0,
        }
    }
}

fn act(action: &str) -> Deed {
    Deed::Act(Act {
        action: action.to_owned(),
        step: None,
        reason: None,
        times: None,
    })
}

fn world(change: Value) -> Deed {
    Deed::World(change)
}

fn patch(patch: Value) -> json_patch::Patch {
    serde_json::from_value(patch).unwrap_or_default()
}

/// Kinds whose writes are refused for a while.
const REFUSED: [&str; 10] = [
    "HTTPRoute",
    "HTTPRoute",
    "Service",
    "ReplicaSet",
    "Deployment",
    "CanaryRollout",
    "CanaryRollout/status",
    "Event",
    "RolloutAction",
    "HorizontalPodAutoscaler",
];

impl World {
    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.random.usize(0..of.len())].clone()
    }

    fn version(&mut self) -> String {
        self.one(&["v1", "v2", "v2", "v3", "v4"]).to_owned()
    }

    /// Seconds to a tenth.
    fn seconds(&mut self, most: f64) -> f64 {
        (self.random.f64() * most * 10.0).round() / 10.0
    }

    /// Something that happens.
    fn deed(&mut self) -> Deed {
        if self.pair && self.random.u8(0..8) == 0 {
            return Deed::ApplyBaseline(self.one(&["v0", "v1"]).to_owned());
        }
        match self.random.u8(0..20) {
            0..=11 => self.users_do(),
            12..=16 => self.breaks(),
            _ if self.harm => self.hands_do(),
            _ => self.users_do(),
        }
    }

    /// What users, their tools and their load do.
    fn users_do(&mut self) -> Deed {
        match self.random.u8(0..18) {
            0..=3 => Deed::Apply(self.version()),
            4 => Deed::Scale(self.random.i64(2..7)),
            5 => Deed::Label,
            6 => act("Pause"),
            7 => act("Resume"),
            8 => act("Promote"),
            9 => act("Abort"),
            10 => act("Retry"),
            11 => world(json!({"versions": {"v2": {"errors": 30.0}, "v3": {"errors": 0.0}}})),
            12 => world(json!({"versions": {"v2": {"errors": 0.0}, "v3": {"errors": 30.0}}})),
            13 => world(json!({"versions": {"v4": {"neverReady": "ImagePullBackOff"}}})),
            14 => world(json!({"requests": self.random.f64() * 100.0})),
            15 => Deed::ApplyWith {
                version: self.version(),
                replicas: self.random.i64(2..7),
            },
            16 if self.scaled => self.bounds(),
            _ => self.spec(),
        }
    }

    /// The spec is edited: its steps, or anything else.
    fn spec(&mut self) -> Deed {
        let step = |weight: i64, hold: &str| json!({"weight": weight, "hold": hold});
        let edits = [
            json!({"steps": [step(10, "4s"), step(60, "6s"), step(100, "2s")]}),
            json!({"steps": [step(25, "5s"), step(50, "5s"), step(100, "3s")]}),
            json!({"steps": [step(50, "3s"), step(100, "3s")]}),
            json!({"keepStable": "12s"}),
            json!({"keepStable": "10s", "bake": "6s"}),
            json!({"keepCanary": "33s"}),
            json!({"noDataDeadline": "25s", "progressDeadline": "110s"}),
            json!({"checks": [{"errorRate": {"max": "3%"}}]}),
            json!({"metrics": {"interval": "2s"}}),
        ];
        Deed::Spec(self.one(&edits))
    }

    /// The autoscaler's owner writes its bounds.
    fn bounds(&mut self) -> Deed {
        if self.random.bool() {
            Deed::SetMinimum(self.random.i64(1..4))
        } else {
            Deed::SetMaximum(self.random.i64(5..9))
        }
    }

    /// Parts of the cluster and of Warmfront break; users notice nothing.
    fn breaks(&mut self) -> Deed {
        match self.random.u8(0..16) {
            0 => Deed::Crash,
            1 => Deed::CrashAfterNextCall,
            2 => Deed::BreakWatches,
            3..=4 if self.store == Store::BreaksNowAndThen => {
                let metrics = self.one(&["down", "late", "partial", "hangs", "silent"]);
                world(json!({"metrics": metrics}))
            }
            3..=6 => world(json!({"metrics": "up"})),
            7 => world(json!({"gateway": {"acceptsAfter": self.seconds(2.0)}})),
            8..=9 => {
                let late = [
                    self.seconds(self.store.latest_proxy()),
                    self.seconds(self.store.latest_proxy()),
                ];
                world(json!({"gateway": {"proxiesLate": late}}))
            }
            10 => world(json!({"gateway": {"proxiesLate": [0.0, self.seconds(5.0)]}})),
            11 if !self.harm => Deed::BreakWatches,
            11 => {
                let mood = self.one(&["silent", "accepts", "refuses"]);
                world(json!({"gateway": {"mood": mood}}))
            }
            _ => self.refusal(),
        }
    }

    /// Writes are refused for a while.
    fn refusal(&mut self) -> Deed {
        let longest = self.one(&[3.0, 10.0, 10.0, 40.0]);
        Deed::Refuse(Refuse {
            kind: self.one(&REFUSED).to_owned(),
            name: None,
            length: self.seconds(longest) + 0.5,
            code: self.one(&[403, 422, 500]),
            after: self.one(&[None, None, None, Some(4.0)]),
        })
    }

    /// Hands take away or change what users' requests need.
    fn hands_do(&mut self) -> Deed {
        let side = self.one(&[Side::Canary, Side::Stable]);
        match self.random.u8(0..if self.pair { 5 } else { 12 }) {
            0..=1 => Deed::LosePods(side),
            2..=3 => Deed::SetWeight(self.random.i64(0..100)),
            4 => Deed::Reapply(What::Route),
            5 => Deed::Reapply(What::Service),
            6 => Deed::DeleteReplicaSet(side),
            7 => Deed::Delete(What::CanaryService),
            8 => Deed::EditCanaryService(patch(
                json!([{"op": "add", "path": "/spec/selector/app", "value": "another"}]),
            )),
            9 => Deed::EditCanaryService(patch(
                json!([{"op": "replace", "path": "/spec/selector", "value": {"app": NAME}}]),
            )),
            10 => Deed::EditRoute(patch(json!([
                {"op": "add", "path": "/spec/rules/0/backendRefs/-", "value": {"name": CANARY_SERVICE, "port": 80, "weight": 50}}
            ]))),
            _ => Deed::EditRoute(patch(json!([
                {"op": "replace", "path": "/spec/rules/0/backendRefs", "value": [{"name": NAME, "port": 80}]}
            ]))),
        }
    }

    /// A folder is applied again, file by file, with another version in it.
    fn folder(&mut self) -> Vec<Step> {
        let mut files = vec![What::Service, What::Route, What::Rollout];
        self.random.shuffle(&mut files);
        let mut deeds = vec![Deed::Apply(self.version())];
        deeds.extend(files.into_iter().map(Deed::Reapply));
        let gap = self.seconds(1.0);
        let step = |deed| Step {
            after: Some(gap),
            deeds: vec![deed],
            ..Step::default()
        };
        deeds.into_iter().map(step).collect()
    }

    /// Something that everything else needs is deleted, and applied again a while later.
    fn deletion(&mut self) -> Vec<Step> {
        let all = [What::Rollout, What::Deployment, What::Service, What::Route];
        let what = if self.harm { self.one(&all) } else { What::Rollout };
        let mut deeds = Vec::new();
        let mut when = None;
        if what == What::Rollout {
            // Until the gateway has taken the traffic back, the rollout waits.
            deeds.push(world(json!({"gateway": {"mood": "accepts"}})));
            when = Some(Facts {
                gone: Some(true),
                ..Facts::default()
            });
        }
        deeds.push(Deed::Delete(what));
        vec![
            Step {
                deeds,
                ..Step::default()
            },
            Step {
                when,
                after: Some(self.seconds(30.0)),
                deeds: vec![Deed::Create(what)],
                ..Step::default()
            },
        ]
    }

    /// What the world begins with.
    fn given(&mut self) -> Given {
        let replicas = self.random.i64(2..6);
        let mut given = Given {
            replicas,
            pair: self.pair,
            ..Given::default()
        };
        given.world.pods_ready_after = self.random.f64() * 4.0 + 0.2;
        given.world.gateway.accepts_after = self.random.f64();
        given.world.gateway.programmed_after = 0.1 + self.random.f64() * 0.6;
        if !self.pair && self.random.u8(0..6) == 0 {
            given.world.quota = usize::try_from(replicas * 2).ok();
        }
        if self.scaled {
            given.autoscaler = Some(Bounds { min: 2, max: 8 });
        }
        given
    }

    fn script(&mut self) -> Vec<Step> {
        let mut script = vec![Step {
            deeds: vec![Deed::Apply("v2".to_owned())],
            ..Step::default()
        }];
        for _ in 0..self.random.usize(1..16) {
            match self.random.u8(0..24) {
                0..=1 if !self.pair => script.extend(self.deletion()),
                2 if !self.pair => script.extend(self.folder()),
                _ => {
                    // Now and then at any moment of what is just under way.
                    let longest = self.one(&[12.0, 12.0, 12.0, 0.6]);
                    let after = self.seconds(longest);
                    // Troubles come together.
                    let together = if self.random.u8(0..4) == 0 { 2 } else { 1 };
                    script.push(Step {
                        after: Some(after),
                        deeds: (0..together).map(|_| self.deed()).collect(),
                        ..Step::default()
                    });
                }
            }
        }
        script
    }
}

/// The scenario of a seed.
pub fn scenario(seed: u64) -> Scenario {
    let mut random = fastrand::Rng::with_seed(seed);
    let pair = seed % 5 == 4;
    let store = if random.bool() {
        Store::BreaksNowAndThen
    } else {
        Store::Steady
    };
    let mut world = World {
        store,
        // In every other world nothing happens that excuses a failed request.
        harm: seed % 2 == 1,
        pair,
        scaled: !pair && random.u8(0..4) == 0,
        random,
    };
    let mut given = world.given();
    given.hold = Some(seed % 7 < 4);
    let mut script = world.script();
    let calm = json!({
        "metrics": "up", "requests": 1000.0,
        "gateway": {"mood": "accepts", "acceptsAfter": 0.2, "proxiesLate": [0.0, 0.0]},
        "versions": {"v2": {"errors": 0.0}, "v3": {"errors": 0.0}, "v4": {"neverReady": null}},
    });
    script.push(Step {
        after: Some(1.0),
        deeds: vec![Deed::World(calm)],
        ..Step::default()
    });
    // Where nothing serves any more its owner mends that.
    let is_of_stable = |deed: &Deed| matches!(deed, Deed::DeleteReplicaSet(Side::Stable));
    if script.iter().flat_map(|step| &step.deeds).any(is_of_stable) {
        script.push(Step {
            after: Some(2.0),
            deeds: vec![Deed::Apply("v5".to_owned())],
            ..Step::default()
        });
    }
    // Whoever paused lets it go on, and then what was contested.
    for after in [5.0, 3.0] {
        script.push(Step {
            after: Some(after),
            deeds: vec![act("Resume")],
            ..Step::default()
        });
    }
    Scenario {
        title: format!("random world {seed}"),
        covers: Vec::new(),
        given,
        script,
        // The route of a pair may as well stay at the candidate.
        end: if pair {
            Facts::default()
        } else {
            Facts {
                given_back: Some(true),
                rests: Some(true),
                ..Facts::default()
            }
        },
        restless: false,
        may_fail: None,
        hands_may_fail: true,
    }
}
