//! Specs and statuses that nobody would write: every decision is made, the world comes to rest, and no status grows large.
//!
//! `WARMFRONT_FUZZ` says how many of each are tried; one that breaks is printed with its seed, and `WARMFRONT_FUZZ_SEED` begins there.

use std::{cell::Cell, panic::AssertUnwindSafe, sync::Arc};

use fastrand::Rng;
use jiff::Timestamp;
use serde::Deserialize;

use super::{golden, scenes, *};
use crate::{
    api::{CanaryRolloutSpec, CanaryRolloutStatus},
    engine::{
        self,
        contract::{Identity, action::Action, in_force::InForce},
    },
};

/// Passes within which a world comes to rest in which no time passes.
const REST: usize = 60;
/// Largest status, in bytes: far below what the API server stores.
const LARGEST: usize = 100_000;

#[allow(clippy::disallowed_methods, reason = "the engine has no environment, its tests do")]
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("WARMFRONT_FUZZ_SEED").unwrap_or(0);
    first..first.saturating_add(number("WARMFRONT_FUZZ").unwrap_or(100))
}

const TIMES: [&str; 6] = [
    "9999-12-30T22:00:00.999Z",
    "-009999-01-02T01:59:59Z",
    "1970-01-01T00:00:00Z",
    "2027-01-15T08:00:05Z",
    "2300-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
];
const TEXTS: [&str; 16] = [
    "",
    "0",
    "x",
    "100%",
    "0%",
    "0.01%",
    "0s",
    "720h",
    "999999999h",
    "5124095576030431h",
    "Unknown",
    "Levitating",
    "catalog",
    "stable1",
    "\u{202e}\u{0}\"{{",
    "HTTPRoute/catalog",
];

/// Something extreme of the kind that stands there, or of another kind.
fn extreme(value: &Value, random: &mut Rng) -> Value {
    let numbers = [
        json!(i64::MAX),
        json!(i64::MIN),
        json!(i32::MAX),
        json!(i32::MIN),
        json!(-1),
        json!(0),
        json!(1e300),
        json!(u64::MAX),
        json!(10_001),
    ];
    let text = |random: &mut Rng| json!(TEXTS[random.usize(..TEXTS.len())]);
    match value {
        Value::Number(_) if random.u8(..8) > 0 => numbers[random.usize(..numbers.len())].clone(),
        Value::String(text) if text.parse::<Timestamp>().is_ok() => json!(TIMES[random.usize(..TIMES.len())]),
        Value::String(text) if random.u8(..8) == 0 => json!(text.repeat(random.usize(..300))),
        Value::String(_) if random.u8(..8) > 0 => text(random),
        Value::Bool(set) => json!(!set),
        _ => match random.u8(..6) {
            0 => Value::Null,
            1 => json!([]),
            2 => json!({}),
            3 => json!(true),
            4 => numbers[random.usize(..numbers.len())].clone(),
            _ => text(random),
        },
    }
}

/// Changes one place somewhere in it.
fn mutate(value: &mut Value, random: &mut Rng) {
    let deeper = random.u8(..8) > 0;
    match value {
        Value::Object(fields) if !fields.is_empty() && deeper => {
            let keys: Vec<String> = fields.keys().cloned().collect();
            let key = &keys[random.usize(..keys.len())];
            if random.u8(..16) == 0 {
                fields.remove(key);
            } else if let Some(inner) = fields.get_mut(key) {
                mutate(inner, random);
            }
        }
        Value::Array(items) if !items.is_empty() && deeper => {
            let at = random.usize(..items.len());
            match random.u8(..8) {
                0 => items.extend(vec![items[at].clone(); random.usize(..60)]),
                1 => drop(items.remove(at)),
                _ => mutate(&mut items[at], random),
            }
        }
        other => *other = extreme(other, random),
    }
}

/// A world that asks nothing of what is done to it.
struct Lenient {
    world: World,
    spec: Result<Arc<CanaryRolloutSpec>, String>,
}

impl Lenient {
    fn id() -> Identity {
        Identity {
            namespace: "shop".to_owned(),
            name: "catalog".to_owned(),
            uid: "u".to_owned(),
            generation: 1,
        }
    }

    /// A pass as the controller makes it; whether it changed anything, and when the next one is due.
    fn pass(&mut self) -> (bool, Option<Timestamp>) {
        let (world, spec) = (&mut self.world, self.spec.as_ref().map_err(String::as_str));
        let id = Self::id();
        let in_force = InForce::new(spec, &world.status);
        let mut seen = world.look_by(in_force.plan());
        let needs = engine::needs(&id, &in_force, &world.status, &seen, world.now);
        seen.measured = needs.measure.map(|question| world.measure(&question));
        seen.drained = needs.drained.map(|asked| world.look_for_requests(&asked));
        seen.inspected = needs.inspect.map(|asked| world.inspect(&asked));
        let decision = engine::settle(&id, spec, &in_force, &world.status, &mut seen, world.now);
        let _ = engine::asked_for(&id, spec, &decision.status, &seen, world.now);
        let _ = engine::contract::durable::may_wait(&world.status, &decision.status);
        let stored = json!(decision.status);
        let (before, after) = (json!(world.status).to_string().len(), stored.to_string().len());
        assert!(after <= LARGEST.max(before), "{after} bytes after {before}");
        let (mut changed, known) = (decision.status != world.status, world.objects.clone());
        world.status = CanaryRolloutStatus::deserialize(&stored).expect("what is stored can be read");
        for one in &decision.actions {
            carry_out(world, &one.action);
        }
        // A write that is refused, or changes nothing, is tried again after a delay.
        changed |= world.objects != known;
        assert!(
            decision.wake.is_none_or(|wake| wake > world.now),
            "no time passes until the next pass"
        );
        (changed, decision.wake)
    }

    /// Lets time pass. What is asked for at one moment is done within some passes.
    fn live(&mut self) {
        for round in 0..12 {
            let mut wake = None;
            let mut rests = false;
            for _ in 0..REST {
                let (changed, next) = self.pass();
                (rests, wake) = (!changed, next);
                if rests {
                    break;
                }
            }
            if !rests {
                let before = json!(self.world.status);
                self.pass();
                panic!(
                    "no rest in round {round}: {before:#} and then {:#}",
                    json!(self.world.status)
                );
            }
            let hour = SignedDuration::from_secs(3_600);
            let later = self.world.now.checked_add(hour).unwrap();
            self.world.now = wake.filter(|_| round % 4 < 3).unwrap_or(later).min(later);
        }
    }
}

/// Does it if it can be done.
fn carry_out(world: &mut World, action: &Action) {
    match action {
        Action::AddFinalizer => world.finalizer = true,
        Action::DropFinalizer => world.finalizer = false,
        Action::Create { kind, object } => {
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            world.objects.entry((*kind, name)).or_insert_with(|| (**object).clone());
        }
        Action::Patch { kind, name, patch } | Action::TakeTrafficOff { kind, name, patch } => {
            let Some(object) = world.objects.get_mut(&(*kind, name.clone())) else {
                return;
            };
            let mut patched = object.clone();
            if json_patch::patch(&mut patched, patch).is_err() || patched == *object {
                return;
            }
            if let Some(generation) = patched["metadata"]["generation"].as_i64() {
                patched["metadata"]["generation"] = json!(generation.saturating_add(1));
            }
            // Who wrote it is told until that itself is removed.
            if matches!(kind, Kind::HttpRoute | Kind::GrpcRoute) && patched["spec"] != object["spec"] {
                patched["metadata"]["managedFields"] = json!([{"manager": "warmfront", "time": world.now}]);
            }
            *object = patched;
        }
        Action::Delete { kind, name } => drop(world.objects.remove(&(*kind, name.clone()))),
        Action::Answer { name, .. } => {
            let now = world.now;
            world
                .actions
                .iter_mut()
                .filter(|action| action.name == *name)
                .for_each(|action| action.decided = Some(now));
        }
        Action::Forget { name } => world.actions.retain(|action| action.name != *name),
    }
}

/// Tries one after the other, and says which seeds broke it.
fn all(try_one: impl Fn(u64)) {
    let tried = |seed: &u64| std::panic::catch_unwind(AssertUnwindSafe(|| try_one(*seed))).is_err();
    let broken: Vec<u64> = seeds().filter(tried).collect();
    assert!(
        broken.is_empty(),
        "run one alone with WARMFRONT_FUZZ=1 WARMFRONT_FUZZ_SEED=…: {broken:?}"
    );
}

#[test]
fn whatever_a_status_says_a_decision_is_made_and_the_world_comes_to_rest() {
    let (scenes, golden) = (scenes::all(), golden::kept());
    let read = Cell::new(0_u32);
    all(|seed| {
        let mut random = Rng::with_seed(seed);
        let (name, world) = &scenes[random.usize(..scenes.len())];
        let known = golden.iter().find(|(kept, _)| kept.ends_with(&format!("/{name}")));
        let mut status = known.map_or_else(|| json!(world.status), |(_, status)| status.clone());
        for _ in 0..random.usize(1..6) {
            mutate(&mut status, &mut random);
        }
        let Ok(status) = CanaryRolloutStatus::deserialize(&status) else {
            return;
        };
        read.set(read.get() + 1);
        let mut world = world.clone();
        world.status = status;
        if random.u8(..4) == 0 {
            world.ask(Verb::Abort);
        }
        if random.u8(..8) == 0 {
            world.deletion = Deletion::Asked;
        }
        let spec = Ok(world.spec.clone().into());
        Lenient { world, spec }.live();
    });
    assert!(seeds().count() < 20 || read.get() > 5, "statuses are hardly ever read");
}

#[test]
fn whatever_a_spec_says_a_decision_is_made_and_the_world_comes_to_rest() {
    let scenes = scenes::all();
    all(|seed| {
        let mut random = Rng::with_seed(seed);
        let (_, world) = &scenes[random.usize(..scenes.len())];
        let mut spec = json!(world.spec);
        for _ in 0..random.usize(1..4) {
            mutate(&mut spec, &mut random);
        }
        if random.u8(..16) == 0 && spec.is_object() {
            spec["bake"] = json!("x".repeat(200_000));
        }
        let mut world = world.clone();
        let spec = CanaryRolloutSpec::read(&spec).map(Arc::new);
        if let (Ok(spec), Some(run)) = (&spec, world.status.run.as_mut()) {
            // A release that another version has begun.
            run.plan = spec.clone();
        }
        Lenient { world, spec }.live();
    });
}
