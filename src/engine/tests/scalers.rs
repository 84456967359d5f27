//! Autoscalers beside a release: their minimum is raised, restored, and put back as it was found.

use super::*;

/// An app with an autoscaler of this kind and these fields beside its target, and with what KEDA makes of a `ScaledObject`.
fn with_autoscaler(kind: Kind, spec: &Value) -> World {
    let mut world = world();
    let mut scaler = json!({"metadata": {"name": "catalog", "annotations": {"autoscaling.keda.sh/paused": "false"}}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "catalog"}}});
    json_patch::merge(&mut scaler["spec"], spec);
    if kind == Kind::ScaledObject {
        let mut kept = scaler.clone();
        kept["metadata"] = json!({"name": "keda-hpa-catalog", "ownerReferences": [{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "catalog", "uid": "s", "controller": true}]});
        kept["spec"]["minReplicas"] = json!(1);
        world
            .objects
            .insert((Kind::HorizontalPodAutoscaler, "keda-hpa-catalog".to_owned()), kept);
    }
    world.objects.insert((kind, "catalog".to_owned()), scaler);
    world.settle();
    world
}

const SCALERS: [(Kind, &str, &str); 2] = [
    (Kind::HorizontalPodAutoscaler, "minReplicas", "maxReplicas"),
    (Kind::ScaledObject, "minReplicaCount", "maxReplicaCount"),
];

#[test]
fn an_autoscaler_cannot_shrink_the_old_version_while_a_release_runs() {
    let ends = [Phase::Succeeded, Phase::RolledBack, Phase::Idle];
    for ((kind, least, most), end) in SCALERS.into_iter().flat_map(|scaler| ends.map(|end| (scaler, end))) {
        for found in [
            json!({most: 10, least: 2}),
            json!({most: 10, least: 0}),
            json!({most: 10}),
            json!({most: 3, least: 1}),
        ] {
            let mut world = with_autoscaler(kind, &found);
            let before = world.objects.clone();
            world.apply_version("v2");
            world.until("5%", |world| at(world, 500));
            assert_eq!(
                world.get(kind, "catalog")["spec"][least],
                if found[most] == 3 { 3 } else { 4 },
                "{kind} {found}: the size at the start, or the maximum"
            );
            match end {
                Phase::RolledBack => world.ask(Verb::Abort),
                Phase::Idle => world.deletion = Deletion::Asked,
                _ => {}
            }
            world.until("the end", |world| {
                if end == Phase::Idle {
                    !world.finalizer
                } else {
                    world.status.phase == end
                }
            });
            world.settle();
            for key in before
                .keys()
                .filter(|key| matches!(key.0, Kind::HorizontalPodAutoscaler | Kind::ScaledObject))
            {
                assert_eq!(
                    world.objects[key], before[key],
                    "{kind} {found}: {key:?} as found after {end}"
                );
            }
            assert!(
                world.status.originals.floors.is_empty() && !world.told.contains(&"ScaleFloorDrift".to_owned()),
                "{kind} {found}: {:?}",
                world.told
            );
        }
    }
}

#[test]
fn what_keda_keeps_is_never_written_and_is_no_drift() {
    let mut world = with_autoscaler(Kind::ScaledObject, &json!({"minReplicaCount": 2}));
    let kept = world.get(Kind::HorizontalPodAutoscaler, "keda-hpa-catalog").clone();
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    assert_eq!(
        world.get(Kind::HorizontalPodAutoscaler, "keda-hpa-catalog"),
        &kept,
        "its minimum is the ScaledObject's business"
    );
    let keys: Vec<&String> = world.status.originals.floors.keys().collect();
    assert_eq!(keys, ["ScaledObject/catalog"]);
    assert!(!world.told.contains(&"ScaleFloorDrift".to_owned()));
}

#[test]
fn the_key_of_a_horizontal_pod_autoscaler_is_its_name() {
    // A release that runs while the controller is upgraded has it in its status.
    let mut world = with_autoscaler(
        Kind::HorizontalPodAutoscaler,
        &json!({"minReplicas": 2, "maxReplicas": 10}),
    );
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    assert_eq!(
        json!(world.status.originals.floors),
        json!({"catalog": {"found": 2, "raised": 4, "stands": true}})
    );
}

#[test]
fn a_minimum_that_is_lowered_again_and_again_is_left_so() {
    for (kind, least, most) in SCALERS {
        let mut world = with_autoscaler(kind, &json!({most: 10, least: 2}));
        world.apply_version("v2");
        world.until("5%", |world| at(world, 500));
        for time in 1..=4 {
            let scaler = world.objects.get_mut(&(kind, "catalog".to_owned())).unwrap();
            // A Git tool that knows no minimum takes it out.
            json_patch::merge(
                scaler,
                &json!({"spec": {least: if time == 2 { Value::Null } else { json!(1) }}}),
            );
            world.settle();
            assert_eq!(
                world.get(kind, "catalog")["spec"][least],
                if time <= 3 { 4 } else { 1 },
                "{kind}: time {time}"
            );
        }
        assert!(
            world.notes.contains(&format!("{kind} catalog: {least} 4 → 1")),
            "{}",
            world.notes
        );
        world.until_phase(Phase::Succeeded);
        assert_eq!(
            world.get(kind, "catalog")["spec"][least],
            1,
            "{kind}: what another hand has set stays"
        );
    }
}

#[test]
fn metrics_that_count_the_new_version_double_are_told_at_adoption() {
    let triggers = |kind: &str| json!({"triggers": [{"type": "prometheus", "metricType": kind}]});
    for (kind, spec, told) in [
        (Kind::ScaledObject, triggers("Value"), true),
        (Kind::ScaledObject, triggers("AverageValue"), false),
        (
            Kind::HorizontalPodAutoscaler,
            json!({"maxReplicas": 9, "metrics": [{"type": "Object"}]}),
            true,
        ),
    ] {
        let mut world = World::new(&super::spec());
        let mut scaler = json!({"metadata": {"name": "catalog"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "catalog"}}});
        json_patch::merge(&mut scaler["spec"], &spec);
        world.objects.insert((kind, "catalog".to_owned()), scaler);
        let notes = world.adopted().notes;
        assert_eq!(
            notes.contains(&format!("{kind} catalog has Object or Value metrics")),
            told,
            "{notes}"
        );
    }
}
