//! What holds of any trace, however strange its numbers are.

use proptest::prelude::*;

use super::{
    decide::judge,
    judgement::Outcome,
    sequential::Points,
    state::Memory,
    tick::{
        Baseline, Breach, Cache, Check, CheckKind, Count, Placement, Plan, PodCache, Probes, Promote, Reading, Sides,
        Split, Step, Tick, Warms,
    },
};

fn check(name: &str, kind: CheckKind) -> Check {
    Check {
        name: name.to_owned(),
        kind,
        breach: Breach::Rollback,
    }
}

pub fn plan(placement: Option<Placement>, capacity: Option<f64>) -> Plan {
    let query = CheckKind::Query {
        max: Some(100.0),
        min: None,
        breaches: 3,
        of: 5,
        period: 30.0,
        warms: Warms::Yes,
    };
    let kinds = [
        ("errors", CheckKind::Errors { max: 0.01 }),
        ("increase", CheckKind::ErrorIncrease { by: 0.005 }),
        (
            "latency",
            CheckKind::Latency {
                quantile: 0.99,
                max: 0.3,
            },
        ),
        ("stale", CheckKind::Ratio { max: 0.001 }),
        (
            "hits",
            CheckKind::HitRatio {
                min: None,
                max_drop: Some(0.1),
            },
        ),
        ("queue", query),
    ];
    Plan {
        tick: 15.0,
        steps: [0.05, 0.25, 1.0].map(|weight| Step { weight, hold: 60.0 }).to_vec(),
        bake: 60.0,
        checks: kinds.map(|(name, kind)| check(name, kind)).to_vec(),
        cache: Cache {
            placement,
            capacity,
            ttl: Some(600.0),
            ..Cache::default()
        },
        split: Split::ByRequest,
        probes: Probes::Counted,
        no_data_deadline: 600.0,
        lag: 0.0,
    }
}

fn plans() -> impl Strategy<Value = Plan> {
    let placements = prop::sample::select(vec![
        None,
        Some(Placement::Shared),
        Some(Placement::PerVersion),
        Some(Placement::PerPod),
    ]);
    (placements, prop::option::of(10.0..2_000.0)).prop_map(|(placement, capacity)| plan(placement, capacity))
}

/// A tick of a healthy service, made worse by `bad`; its release stands at `weight`.
fn healthy(weight: f64, requests: f64, bad: f64) -> Tick {
    let (new, old) = (weight * requests, (1.0 - weight) * requests);
    let both = |share: f64| Sides {
        candidate: Count {
            bad: (share * new + bad).min(new).round(),
            total: new.round(),
        },
        baseline: Some(Count {
            bad: (share * old).round(),
            total: old.round(),
        }),
    };
    let value = |value| Sides {
        candidate: value,
        baseline: Some(value),
    };
    Tick {
        seconds: 15.0,
        weight,
        requests: Some(Sides {
            candidate: new,
            baseline: Some(old),
        }),
        readings: vec![
            Reading::Counts(both(0.002)),
            Reading::Counts(both(0.002)),
            Reading::Counts(both(0.003)),
            Reading::Counts(both(0.0)),
            Reading::NotAsked,
            Reading::Value(value(20.0 + bad)),
        ],
        lookups: Some(both(0.05)),
        pods: vec![PodCache {
            before: 5_000.0,
            lookups: new,
            hits: 0.95 * new,
        }],
        in_flight: Some(value(10.0)),
        origin_load: Some(0.05 * requests / 15.0),
        ..Tick::default()
    }
}

fn strange() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(-7.0),
        Just(1e15),
        Just(0.0),
        0.0..1e6,
    ]
}

/// A tick in which every number may be anything.
fn hostile() -> impl Strategy<Value = Tick> {
    (
        prop::collection::vec(strange(), 24),
        prop::sample::select(vec![0.05, 0.25, 1.0]),
    )
        .prop_map(|(numbers, weight)| {
            let counts = |at: usize| Sides {
                candidate: Count {
                    bad: numbers[at],
                    total: numbers[at + 1],
                },
                baseline: Some(Count {
                    bad: numbers[at + 2],
                    total: numbers[at + 3],
                }),
            };
            let value = |at: usize| Sides {
                candidate: numbers[at],
                baseline: Some(numbers[at + 1]),
            };
            Tick {
                at: numbers[0],
                seconds: numbers[1],
                weight,
                requests: Some(value(2)),
                readings: vec![
                    Reading::Counts(counts(4)),
                    Reading::Counts(counts(5)),
                    Reading::Counts(counts(8)),
                    Reading::Counts(counts(12)),
                    Reading::NotAsked,
                    Reading::Value(value(16)),
                ],
                lookups: Some(counts(17)),
                pods: vec![PodCache {
                    before: numbers[20],
                    lookups: numbers[21],
                    hits: numbers[22],
                }],
                in_flight: Some(value(3)),
                origin_load: Some(numbers[23]),
                ..Tick::default()
            }
        })
}

/// A release follows what is decided; every tick is a healthy one, a worse one, one without data, or a hostile one.
fn ticks() -> impl Strategy<Value = Vec<(u8, f64, f64, Tick)>> {
    prop::collection::vec((0_u8..10, 10.0..20_000.0, 0.0..60.0, hostile()), 1..160)
}

struct Loop {
    plan: Plan,
    memory: Memory,
    step: u64,
    weight: f64,
    at: f64,
}

impl Loop {
    fn new(plan: Plan) -> Self {
        let mut it = Self {
            plan,
            memory: Memory::default(),
            step: 0,
            weight: 0.0,
            at: 1.8e9,
        };
        for _ in 0..40 {
            let tick = healthy(0.0, 15_000.0, 0.0);
            it.judge(tick);
        }
        it.step = 1;
        it.weight = it.plan.first_weight();
        it
    }

    fn judge(&mut self, tick: Tick) -> Outcome {
        self.at += 15.0;
        let tick = Tick {
            at: self.at,
            step: self.step,
            weight: self.weight,
            ..tick
        };
        judge(&mut self.memory, &self.plan, &tick).outcome
    }

    fn follow(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Rise { to } | Outcome::StepBack { to, .. } => {
                self.weight = *to;
                self.step += 1;
            }
            Outcome::Fail { .. } => {
                self.weight = self.plan.first_weight();
                self.step += 1;
            }
            _ => {}
        }
    }

    fn restart(&mut self) -> usize {
        let text = serde_json::to_string(&self.memory).unwrap();
        self.memory = serde_json::from_str(&text).unwrap();
        text.len()
    }

    fn tick(&self, kind: u8, requests: f64, bad: f64, hostile: &Tick) -> Tick {
        match kind {
            0 => Tick::default(),
            1 => hostile.clone(),
            2 | 3 => healthy(self.weight, requests, bad),
            _ => healthy(self.weight, requests, 0.0),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_restart_at_any_tick_changes_no_verdict((plan, ticks) in (plans(), ticks())) {
        let mut goes_on = Loop::new(plan.clone());
        let mut restarted = Loop::new(plan);
        for (kind, requests, bad, hostile) in ticks {
            let tick = goes_on.tick(kind, requests, bad, &hostile);
            restarted.restart();
            prop_assert_eq!(&restarted.memory, &goes_on.memory);
            let (one, other) = (goes_on.judge(tick.clone()), restarted.judge(tick));
            prop_assert_eq!(&one, &other);
            goes_on.follow(&one);
            restarted.follow(&other);
        }
    }

    #[test]
    fn a_tick_without_data_changes_nothing((plan, ticks) in (plans(), ticks())) {
        let mut goes_on = Loop::new(plan);
        for (kind, requests, bad, hostile) in ticks {
            let known = goes_on.memory.clone();
            let outcome = goes_on.judge(Tick { requests: None, ..hostile.clone() });
            prop_assert_eq!(outcome, Outcome::Hold { cause: None });
            prop_assert_eq!(&goes_on.memory, &known);
            let tick = goes_on.tick(kind, requests, bad, &hostile);
            let outcome = goes_on.judge(tick);
            goes_on.follow(&outcome);
        }
    }

    #[test]
    fn no_single_input_fails_a_release(plan in plans(), before in 0_usize..30, hostile in hostile()) {
        let mut goes_on = Loop::new(plan);
        for _ in 0..before {
            let outcome = goes_on.judge(healthy(goes_on.weight, 15_000.0, 0.0));
            goes_on.follow(&outcome);
        }
        let outcome = goes_on.judge(hostile);
        prop_assert!(!matches!(outcome, Outcome::Fail { .. }), "{outcome:?}");
    }

    #[test]
    fn more_bad_ones_never_take_points_away(
        ticks in prop::collection::vec((0.0..400.0_f64, 0.0..400.0_f64, 400.0..900.0_f64), 1..20),
        limit in 0.0001..0.9,
    ) {
        let (mut better, mut worse) = (Points::default(), Points::default());
        for (bad, more, total) in ticks {
            better.add(Count { bad, total }, limit);
            worse.add(Count { bad: (bad + more).min(total), total }, limit);
            prop_assert!(worse.most() >= better.most());
        }
    }

    #[test]
    fn what_is_remembered_of_five_checks_is_small(plan in plans(), ticks in prop::collection::vec((900.0..99_999.0, 0.0..60.0), 60)) {
        let checks = plan.checks[..5].to_vec();
        let mut goes_on = Loop::new(Plan { checks, ..plan });
        for (requests, bad) in ticks {
            let outcome = goes_on.judge(healthy(goes_on.weight, requests, bad));
            goes_on.follow(&outcome);
            let bytes = goes_on.restart();
            prop_assert!(bytes < 2_048, "{bytes}: {}", serde_json::to_string(&goes_on.memory).unwrap());
        }
    }
}

#[test]
fn a_promote_accepts_what_is_too_close_to_call_and_nothing_else() {
    let mut plan = plan(Some(Placement::Shared), None);
    plan.steps[0].hold = 0.0;
    let mut goes_on = Loop::new(plan);
    let accepted = |tick: Tick| Tick {
        promote: Promote::Accepted,
        ..tick
    };
    let first = goes_on.judge(healthy(0.05, 15_000.0, 0.0));
    assert!(
        matches!(first, Outcome::Hold { .. }),
        "nothing of the step is counted yet"
    );
    let second = goes_on.judge(accepted(healthy(0.05, 15_000.0, 0.0)));
    assert_eq!(second, Outcome::Rise { to: 0.25 });
    let outcomes: Vec<Outcome> = (0..4)
        .map(|_| goes_on.judge(accepted(healthy(0.05, 15_000.0, 60.0))))
        .collect();
    assert!(matches!(outcomes[3], Outcome::Fail { .. }), "{outcomes:?}");
}

#[test]
fn an_old_version_that_is_not_whole_is_not_compared_with() {
    let mut goes_on = Loop::new(plan(Some(Placement::PerVersion), None));
    let mut tick = healthy(0.05, 15_000.0, 0.0);
    tick.readings[0] = Reading::Counts(Sides {
        candidate: Count {
            bad: 300.0,
            total: 750.0,
        },
        baseline: Some(Count {
            bad: 6_000.0,
            total: 14_250.0,
        }),
    });
    let whole: Vec<Outcome> = (0..4).map(|_| goes_on.judge(tick.clone())).collect();
    assert!(
        matches!(whole[3], Outcome::StepBack { .. } | Outcome::Hold { .. }),
        "{whole:?}"
    );
    let mut goes_on = Loop::new(plan(Some(Placement::PerVersion), None));
    tick.baseline = Baseline::NotReady;
    let alone: Vec<Outcome> = (0..4).map(|_| goes_on.judge(tick.clone())).collect();
    assert!(matches!(alone[3], Outcome::Fail { .. }), "{alone:?}");
}
