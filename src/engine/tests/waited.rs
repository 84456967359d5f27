//! `kubectl canary wait` beside releases that begin, end, and overtake one another: its exit is never another release's.

use std::collections::{BTreeMap, BTreeSet};

use kube::api::DynamicObject;

use super::*;
use crate::cli::{
    exit::Exit,
    rollout::Rollout,
    wait::{
        order::{Goal, Order, Seen, Wanted, Workload},
        waiter::Waiter,
    },
};

const VERSIONS: [&str; 4] = ["v1", "v2", "v3", "v4"];

/// What happens, one after the other.
#[derive(Clone, Debug)]
enum Deed {
    /// Somebody applies this version, and waits.
    Apply(usize),
    /// Somebody changes the number of pods.
    Scale,
    /// So many passes, and time goes on to the next alarm between them.
    Passes(u8),
    /// The new version fails, or does well again.
    Bad(bool),
    /// The waits see what the status says now: what came in between they have missed.
    Look,
}

/// A wait that somebody has begun.
struct Begun {
    waiter: Waiter,
    version: &'static str,
    /// It waits for that version alone.
    image: bool,
    /// Versions that were applied since, its own among them.
    applied: BTreeSet<&'static str>,
    /// Versions that have served since.
    served: BTreeSet<String>,
    exit: Option<Exit>,
}

struct Scene {
    world: World,
    waits: Vec<Begun>,
    /// Versions by the revision that their releases had.
    released: BTreeMap<String, String>,
}

fn deployment(world: &mut World) -> &mut Value {
    world
        .objects
        .get_mut(&(Kind::Deployment, "catalog".to_owned()))
        .unwrap()
}

fn bump(world: &mut World) -> i64 {
    let deployment = deployment(world);
    let generation = deployment["metadata"]["generation"].as_i64().unwrap() + 1;
    deployment["metadata"]["generation"] = json!(generation);
    generation
}

fn read(world: &World) -> Workload {
    let deployment = world.get(Kind::Deployment, "catalog");
    let image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap();
    Workload {
        name: "catalog".to_owned(),
        uid: "d".to_owned(),
        generation: deployment["metadata"]["generation"].as_i64().unwrap(),
        images: vec![image.to_owned()],
        baseline: None,
    }
}

fn shown(world: &World) -> Rollout {
    let metadata = json!({"name": "catalog", "namespace": "shop", "uid": "u", "generation": 1});
    let object = json!({"metadata": metadata, "spec": world.spec, "status": world.status});
    Rollout::new(serde_json::from_value::<DynamicObject>(object).unwrap())
}

/// The version that users have.
fn serving(world: &World) -> Option<String> {
    let stable = world.status.stable_revision.as_ref()?;
    let name = format!("catalog-{stable}");
    let set = world.objects.get(&(Kind::ReplicaSet, name))?;
    let image = set["spec"]["template"]["spec"]["containers"][0]["image"].as_str()?;
    image.strip_prefix("catalog:").map(str::to_owned)
}

impl Scene {
    fn do_it(&mut self, deed: &Deed) {
        match deed {
            Deed::Apply(version) => self.apply(VERSIONS[*version]),
            Deed::Scale => {
                let pods = &mut deployment(&mut self.world)["spec"]["replicas"];
                *pods = json!(if *pods == 4 { 5 } else { 4 });
                bump(&mut self.world);
            }
            Deed::Passes(count) => {
                for _ in 0..*count {
                    self.pass();
                }
            }
            Deed::Bad(bad) => self.world.bad = if *bad { 0.2 } else { 0.0 },
            Deed::Look => self.look(),
        }
    }

    fn apply(&mut self, version: &'static str) {
        let same = read(&self.world).images == [format!("catalog:{version}")];
        self.world.apply_version(version);
        if !same {
            bump(&mut self.world);
        }
        for begun in &mut self.waits {
            begun.applied.insert(version);
        }
        for image in [false, true] {
            let wanted = if image {
                Wanted::Image(format!("catalog:{version}"))
            } else {
                Wanted::Any
            };
            let order = Order {
                goal: Goal::Promoted,
                wanted,
                fail_on_pause: false,
            };
            let mut waiter = Waiter::new(order);
            // It reads the Deployment at once.
            waiter.step(&Seen::Rollout(Some(&shown(&self.world))), self.world.now);
            let exit = waiter.step(&Seen::Workload(read(&self.world)), self.world.now).exit;
            let mut begun = Begun {
                waiter,
                version,
                image,
                applied: [version].into(),
                served: serving(&self.world).into_iter().collect(),
                exit: None,
            };
            begun.ends(exit, &self.world, &self.released);
            self.waits.push(begun);
        }
    }

    fn pass(&mut self) {
        let version = read(&self.world).images[0].replace("catalog:", "");
        let known = self.world.status.run.as_ref().map(|run| run.number);
        let (changed, decision) = self.world.pass_unchecked();
        if let Some(run) = self.world.status.run.as_ref().filter(|run| Some(run.number) != known) {
            self.released.insert(run.revision.clone(), version);
        }
        for begun in &mut self.waits {
            begun.served.extend(serving(&self.world));
        }
        if let (false, Some(wake)) = (changed, decision.wake) {
            self.world.now = wake;
        }
    }

    fn look(&mut self) {
        let rollout = shown(&self.world);
        for begun in self.waits.iter_mut().filter(|begun| begun.exit.is_none()) {
            let mut exit = begun.waiter.step(&Seen::Rollout(Some(&rollout)), self.world.now).exit;
            if exit.is_none() && begun.waiter.wants_workload() {
                exit = begun
                    .waiter
                    .step(&Seen::Workload(read(&self.world)), self.world.now)
                    .exit;
            }
            begun.ends(exit, &self.world, &self.released);
        }
    }
}

impl Begun {
    /// Checks an exit against what has happened.
    fn ends(&mut self, exit: Option<Exit>, world: &World, released: &BTreeMap<String, String>) {
        let own = if self.image {
            [self.version].into()
        } else {
            self.applied.clone()
        };
        match exit {
            None => {}
            Some(Exit::Reached) => assert!(
                own.iter().any(|version| self.served.contains(*version)),
                "{} was not promoted",
                self.version
            ),
            Some(Exit::RolledBack) => {
                let history = world.status.history.iter();
                let history = history.filter(|ended| ended.outcome == Outcome::RolledBack);
                let rejected = world.status.rejected.iter().map(|rejected| &rejected.revision);
                let mut back = history.map(|ended| &ended.revision).chain(rejected);
                let is_own = |revision: &String| {
                    own.iter()
                        .any(|version| released.get(revision).is_some_and(|of| of == version))
                };
                assert!(back.any(is_own), "{} was not rolled back", self.version);
            }
            Some(Exit::Superseded) => assert!(self.applied.len() > 1, "nothing took the place of {}", self.version),
            Some(other) => panic!("{other:?}"),
        }
        self.exit = exit;
    }
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let one = prop_oneof![
        3 => (0..VERSIONS.len()).prop_map(Deed::Apply),
        1 => Just(Deed::Scale),
        6 => (1_u8..25).prop_map(Deed::Passes),
        1 => any::<bool>().prop_map(Deed::Bad),
        4 => Just(Deed::Look),
    ];
    prop::collection::vec(one, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_exit_is_that_of_another_release(deeds in deeds(), last in 0..VERSIONS.len(), bad: bool) {
        let mut scene = Scene { world: world(), waits: Vec::new(),
            released: BTreeMap::new() };
        for deed in &deeds {
            scene.do_it(deed);
        }
        scene.do_it(&Deed::Bad(bad));
        scene.do_it(&Deed::Apply(last));
        for _ in 0..400 {
            if scene.waits.iter().all(|begun| begun.exit.is_some()) {
                break;
            }
            scene.do_it(&Deed::Passes(5));
            scene.do_it(&Deed::Look);
        }
        for begun in &scene.waits {
            prop_assert!(begun.exit.is_some(), "the wait for {} does not end: {}: {}", begun.version, scene.world.status.phase, scene.world.status.message);
        }
    }
}
