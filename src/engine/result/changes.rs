//! What still differs between the world asked for and the world seen, as actions in a safe order.

use crate::{
    api::{CanaryRolloutStatus, FIELD_MANAGER, Percent, action::ActionPhase, status::RouteOriginal},
    engine::{
        contract::{
            action::{Action, Ordered, Part},
            kind::Kind,
            observed::{ActionSeen, Route},
        },
        facts::Facts,
        guards::floor,
        modes::{
            safe::Safe,
            want::{Hands, Label, SetWant},
        },
        phases::queue,
    },
    kubernetes::{managed_fields, patch::Patch},
    router::{RouteId, Target, Want, gateway_api},
    workload::{
        canary_service::Likeness,
        deployment,
        replica_set::{self, ReplicaSet},
        service::Service,
    },
};

/// Down first, then what makes room for the new version, then up, then what goes.
pub fn actions(facts: &Facts<'_>, status: &CanaryRolloutStatus, wanted: &Safe) -> Vec<Ordered> {
    let mut all = routes(facts, status, wanted);
    let mut put = |part: Part, actions: Vec<Action>| {
        all.extend(actions.into_iter().map(|action| Ordered { part, action }));
    };
    put(Part::Floor, floor::actions(facts, status));
    put(Part::Take, sets(facts, wanted, |set, want| take(facts, set, want)));
    put(Part::Narrow, narrow(facts, wanted));
    put(Part::MorePods, create(facts, wanted).into_iter().collect());
    let more = sets(facts, wanted, |set, want| resize(set, want, |now, then| then > now));
    put(Part::MorePods, more);
    put(Part::Give, sets(facts, wanted, |set, want| give(facts, set, want)));
    if facts.may_scale_down(status) {
        let fewer = sets(facts, wanted, |set, want| resize(set, want, |now, then| then < now));
        put(Part::FewerPods, fewer);
    }
    put(Part::Remove, sets(facts, wanted, remove));
    put(Part::Answer, answers(facts, status));
    all.extend(label_and_pause(facts, wanted));
    all.extend(canary_service(facts, wanted));
    all.sort_by_key(|one| one.part);
    all
}

fn patch(kind: Kind, name: &str, patch: Patch) -> Action {
    Action::Patch {
        kind,
        name: name.to_owned(),
        patch,
    }
}

/// Changes of routes.
fn routes(facts: &Facts<'_>, status: &CanaryRolloutStatus, wanted: &Safe) -> Vec<Ordered> {
    let mut all = Vec::new();
    let Some(want) = wanted.route else { return all };
    let none = RouteOriginal::default();
    for (id, route) in facts.readable_routes() {
        let (name, kind) = (&id.name, Kind::from(id.kind));
        let originals = status.originals.routes.get(&id.key()).unwrap_or(&none);
        let mut target = route.target.clone();
        if !wanted.testers {
            target.testers.clear();
        }
        let want = want_of_route(facts, id, route, want);
        let live = route.live();
        match gateway_api::change(&live, &target, want, originals) {
            Ok(Some(patch)) => {
                let name = name.clone();
                let takes_off = matches!(want, Want::Absent | Want::Drained) && !route.state.entry_gone();
                let action = if takes_off {
                    Action::TakeTrafficOff { kind, name, patch }
                } else {
                    Action::Patch { kind, name, patch }
                };
                let part = if is_downward(route, &target, want) {
                    Part::TrafficOff
                } else {
                    Part::TrafficUp
                };
                all.push(Ordered { part, action });
            }
            // Let go of the fields once nothing of ours stands in them, so that Git tools see them as theirs again. When we
            // wrote is told by them: before the data plane serves it they are needed.
            Ok(None) if matches!(want, Want::Absent | Want::Left) && facts.served(id, route).is_ok() => {
                let release = managed_fields::drop_entries(&live, FIELD_MANAGER);
                all.extend(release.map(|change| Ordered {
                    part: Part::Fields,
                    action: patch(kind, name, change),
                }));
            }
            // An unusable route is refused by `guards::refusal`, with its reason.
            Ok(None) | Err(_) => {}
        }
    }
    all
}

/// A route that the plan no longer names is left with nothing of ours in it, weight first.
fn want_of_route(facts: &Facts<'_>, id: &RouteId, route: &Route, want: Want) -> Want {
    match want {
        Want::Weight(_) | Want::Drained if !facts.names(id) => {
            if route.state.carries(Percent::ZERO) {
                Want::Absent
            } else {
                Want::Drained
            }
        }
        Want::Weight(_) | Want::Drained | Want::Absent | Want::Left => want,
    }
}

/// The change takes requests from the new version.
fn is_downward(route: &Route, target: &Target, want: Want) -> bool {
    match want {
        Want::Absent | Want::Left | Want::Drained => true,
        Want::Weight(weight) => {
            route.state.canary.is_some_and(|share| share > weight)
                || (target.testers.is_empty() && route.state.tester_rules > 0)
        }
    }
}

/// Label and pause, in one patch.
fn label_and_pause(facts: &Facts<'_>, wanted: &Safe) -> Option<Ordered> {
    let deployment = facts.seen.deployment.as_ref()?;
    let paused = wanted.pause.filter(|paused| *paused != deployment.paused);
    let pause = paused.map(deployment::pause);
    let is_on = deployment.rollout() == Some(&facts.id.name);
    let label = match wanted.label {
        Some(Label::On) if !is_on => Some(deployment.label(&facts.id.name)),
        Some(Label::Off) if is_on => Some(deployment::unlabel()),
        Some(Label::On | Label::Off) | None => None,
    };
    // What was refused may have been the label: the pause must not wait for it.
    let label = label.filter(|_| pause.is_none() || facts.seen.obstacle_to(Kind::Deployment).is_none());
    let change: Patch = label.into_iter().chain(pause).flatten().collect();
    let part = match paused {
        Some(true) => Part::Pause,
        Some(false) => Part::Unpause,
        None => Part::Label,
    };
    (!change.is_empty()).then(|| Ordered {
        part,
        action: patch(Kind::Deployment, &deployment.name, change),
    })
}

fn sets(facts: &Facts<'_>, wanted: &Safe, act: impl Fn(&ReplicaSet, &SetWant) -> Option<Action>) -> Vec<Action> {
    let seen = facts.seen.replica_sets.iter().filter(|set| !set.deleting);
    seen.filter_map(|set| act(set, wanted.sets.get(&set.name)?)).collect()
}

fn take(facts: &Facts<'_>, set: &ReplicaSet, want: &SetWant) -> Option<Action> {
    let deployment = facts.seen.deployment.as_ref()?;
    let due = want.hands == Some(Hands::Ours) && set.held_by.is_none();
    due.then(|| {
        patch(
            Kind::ReplicaSet,
            &set.name,
            set.take(&deployment.selector, &facts.id.name),
        )
    })
}

fn give(facts: &Facts<'_>, set: &ReplicaSet, want: &SetWant) -> Option<Action> {
    let deployment = facts.seen.deployment.as_ref()?;
    if want.hands != Some(Hands::Deployments) || set.held_by.is_none() {
        return None;
    }
    let mut change = set.give(&deployment.selector);
    if want.newest {
        let others = facts.seen.replica_sets.iter().filter(|other| other.name != set.name);
        let highest = others.filter_map(|other| other.revision).max().unwrap_or_default();
        // Nothing comes after the greatest number: who has written it has to take it back.
        let number = highest.checked_add(1);
        if let Some(number) = number.filter(|_| set.revision.is_none_or(|revision| revision <= highest)) {
            change.extend(replica_set::number(set.revision.is_some(), number));
        }
    }
    if let Some(replicas) = want.replicas.filter(|replicas| *replicas != set.replicas) {
        change.extend(replica_set::scale(replicas));
    }
    Some(patch(Kind::ReplicaSet, &set.name, change))
}

fn resize(set: &ReplicaSet, want: &SetWant, direction: impl Fn(u32, u32) -> bool) -> Option<Action> {
    // A ReplicaSet in the Deployment's hands has the size that the Deployment says.
    let ours = want.hands == Some(Hands::Ours) && set.held();
    let replicas = want
        .replicas
        .filter(|replicas| ours && direction(set.replicas, *replicas))?;
    Some(patch(Kind::ReplicaSet, &set.name, replica_set::scale(replicas)))
}

fn remove(set: &ReplicaSet, want: &SetWant) -> Option<Action> {
    let due = want.delete && set.held() && set.replicas == 0 && set.total == 0;
    due.then(|| Action::Delete {
        kind: Kind::ReplicaSet,
        name: set.name.clone(),
    })
}

fn create(facts: &Facts<'_>, wanted: &Safe) -> Option<Action> {
    let (deployment, new) = (facts.seen.deployment.as_ref()?, wanted.create.as_ref()?);
    let object = replica_set::canary(
        deployment,
        &facts.id.namespace,
        &facts.id.name,
        &new.name,
        &new.revision,
        new.replicas,
    );
    Some(Action::Create {
        kind: Kind::ReplicaSet,
        object: Box::new(object),
    })
}

fn narrow(facts: &Facts<'_>, wanted: &Safe) -> Vec<Action> {
    let Some(hash) = &wanted.selector else {
        return Vec::new();
    };
    let wrong = facts
        .narrowed_services()
        .filter(|service| service.hash() != hash.as_deref() && !service.selector.is_empty());
    wrong
        .map(|service| patch(Kind::Service, &service.name, service.narrow(hash.as_deref())))
        .collect()
}

fn canary_service(facts: &Facts<'_>, wanted: &Safe) -> Option<Ordered> {
    let name = &facts.plan.canary_service;
    let seen = facts.seen.services.get(name);
    let ours = |service: &Service| service.made_by.as_deref() == Some(&facts.id.name);
    let other = |action| Ordered {
        part: Part::OtherCanaryService,
        action,
    };
    match (wanted.canary_service.as_ref()?, seen) {
        (Some(hash), None) => {
            let likeness = likeness(facts, hash)?;
            Some(Ordered {
                part: Part::CanaryService,
                action: Action::Create {
                    kind: Kind::Service,
                    object: Box::new(likeness.object(&facts.id.namespace, &facts.id.name, name)),
                },
            })
        }
        (Some(hash), Some(service)) => {
            let change = ours(service).then(|| match likeness(facts, hash) {
                Some(likeness) => likeness.change(service),
                // Without the user's Service nothing says what it is to be.
                None if service.hash() == Some(hash) => Patch::new(),
                None => service.narrow(Some(hash)),
            });
            change
                .filter(|change| !change.is_empty())
                .map(|change| other(patch(Kind::Service, name, change)))
        }
        (None, Some(service)) => ours(service).then(|| {
            other(Action::Delete {
                kind: Kind::Service,
                name: name.clone(),
            })
        }),
        (None, None) => None,
    }
}

/// What the Service of the revision `hash` is to be, as long as the user's Service stands.
fn likeness<'a>(facts: &Facts<'a>, hash: &'a str) -> Option<Likeness<'a>> {
    let set = facts.replica_set(hash).map(|set| &set.template);
    // It may be made before its pods are.
    let template = set.or_else(|| Some(&facts.seen.deployment.as_ref()?.template))?;
    let of = facts.seen.services.get(&facts.plan.service)?;
    let fit = !of.external && !of.selector.is_empty();
    fit.then_some(Likeness {
        of,
        hash,
        pods: template.labels(),
        metadata: &facts.plan.canary_service_metadata,
    })
}

fn answers(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Vec<Action> {
    let answer = |action: &ActionSeen, phase, reason: &str, message: &str| Action::Answer {
        name: action.name.clone(),
        version: action.version.clone(),
        phase,
        reason: reason.to_owned(),
        message: message.to_owned(),
    };
    let open = facts.seen.actions.iter().filter(|action| action.decided.is_none());
    let handled = open.filter_map(|action| {
        let handled = status.actions.iter().find(|handled| handled.uid == action.uid)?;
        // How it ended may stand in words of a newer version, which writes them.
        let known = handled.phase != ActionPhase::Unknown;
        known.then(|| answer(action, handled.phase, &handled.reason, &handled.message))
    });
    let text = format!(
        "{} requests to this rollout are open already; ask again when they are answered",
        queue::MOST
    );
    let surplus = queue::surplus(facts, status);
    let surplus = surplus.map(|action| answer(action, ActionPhase::Rejected, "TooMany", &text));
    let outlived = queue::outlived(facts).into_iter();
    let forget = outlived.map(|action| Action::Forget {
        name: action.name.clone(),
    });
    surplus.chain(handled).chain(forget).collect()
}
