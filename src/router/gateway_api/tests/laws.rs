//! Laws of the router: what it writes it reads back, writes once, and puts back to the byte.

use proptest::prelude::*;

use super::*;
use crate::{api::traffic::Tester, kubernetes::managed_fields};

#[test]
fn weights_count_only_where_every_rule_has_them() {
    let target = Target {
        rules: vec!["*".to_owned()],
        ..target(RouteKind::Http)
    };
    let backends = |stable: i64, canary: i64| json!({"backendRefs": [{"name": "catalog", "weight": stable}, {"name": "catalog-canary", "weight": canary}]});
    let state = |rules: Value| read(&route(RouteKind::Http, &rules), &target).unwrap();
    let same = state(json!([backends(75, 25), backends(3, 1)]));
    assert!(same.carries(percent(2_500)) && same.entry_stands());
    // A quarter of one, and half of three, are no whole numbers.
    assert!(!state(json!([backends(1, 0)])).carries(percent(2_500)));
    assert!(!state(json!([backends(2, 1)])).carries(percent(5_000)));
    let raised = state(json!([backends(75, 25), backends(40, 60)]));
    assert!(!raised.carries(percent(2_500)));
    assert_eq!(raised.away_from(percent(2_500)), percent(6_000));
    let lowered = state(json!([backends(75, 25), {"backendRefs": [{"name": "catalog"}]}]));
    assert!(!lowered.carries(percent(2_500)) && !lowered.entry_stands() && !lowered.entry_gone());
    assert_eq!(lowered.away_from(percent(2_500)), percent(0));
    // Some data planes spread evenly where all weights are 0.
    assert!(!state(json!([backends(0, 0)])).carries(percent(0)));
}

#[test]
fn a_rule_never_adds_up_to_0() {
    let live = route(
        RouteKind::Http,
        &json!([{"backendRefs": [{"name": "catalog", "weight": 0}, {"name": "legacy", "weight": 0}]}]),
    );
    let target = target(RouteKind::Http);
    let originals = read(&live, &target).unwrap().weights;
    let mut now = live.clone();
    for want in [Want::Weight(percent(0)), Want::Weight(percent(5_000)), Want::Drained] {
        now = apply(&now, change(&now, &target, want, &originals).unwrap());
        assert!(
            weights_of(&now["spec"]["rules"][0])
                .iter()
                .any(|(name, weight)| name == "catalog" && *weight > 0),
            "{now}"
        );
        assert_eq!(change(&now, &target, want, &originals).unwrap(), None);
    }
    assert_eq!(
        apply(&now, change(&now, &target, Want::Absent, &originals).unwrap()),
        live,
        "what its owner wrote comes back"
    );
}

#[test]
fn rollouts_overlap_where_their_rules_are_the_same() {
    let live = route(
        RouteKind::Http,
        &json!([{"name": "a", "backendRefs": [{"name": "catalog"}]}, {"name": "b", "backendRefs": [{"name": "search"}, {"name": "catalog"}]}]),
    );
    let of = |stable: &str, rules: &[&str]| Target {
        stable: stable.to_owned(),
        canary: format!("{stable}-canary"),
        rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
        ..Target::default()
    };
    for (route, one, other, expected) in [
        (Some(&live), of("catalog", &["a"]), of("search", &[]), false),
        (Some(&live), of("catalog", &["b"]), of("search", &[]), true),
        (Some(&live), of("catalog", &["*"]), of("search", &["b"]), true),
        // Unnamed and in two rules: it is not known which one is meant.
        (Some(&live), of("catalog", &[]), of("search", &["b"]), true),
        (None, of("catalog", &["a"]), of("search", &["b"]), false),
        (None, of("catalog", &["a"]), of("search", &["a", "c"]), true),
        (None, of("catalog", &[]), of("search", &["b"]), true),
        (None, of("catalog", &["*"]), of("search", &["b"]), true),
    ] {
        assert_eq!(overlap(route, &one, &other), expected, "{one:?} {other:?}");
        assert_eq!(overlap(route, &other, &one), expected, "{other:?} {one:?}");
    }
}

#[test]
fn every_place_in_a_patch_is_guarded() {
    let live = route(
        RouteKind::Http,
        &json!([{"matches": [{"path": {"type": "Exact", "value": "/a"}}], "backendRefs": [{"name": "catalog"}]}, {"backendRefs": [{"name": "search"}]}]),
    );
    let target = Target {
        testers: vec![Tester {
            header: "x".to_owned(),
            equals: "1".to_owned(),
        }],
        ..target(RouteKind::Http)
    };
    let originals = read(&live, &target).unwrap().weights;
    let patch = |live: &Value, want| change(live, &target, want, &originals).unwrap();
    let at_a_quarter = apply(&live, patch(&live, Want::Weight(percent(2_500))));
    let refused = |live: &Value, change: &Option<Patch>| {
        json_patch::patch(&mut live.clone(), change.as_deref().unwrap_or_default()).is_err()
    };
    for change in [
        patch(&at_a_quarter, Want::Weight(percent(5_000))),
        patch(&at_a_quarter, Want::Absent),
    ] {
        assert!(change.is_some() && !refused(&at_a_quarter, &change));
        let mut shifted = at_a_quarter.clone();
        shifted["spec"]["rules"].as_array_mut().unwrap().insert(0, json!({"matches": [{"path": {"type": "Exact", "value": "/b"}}], "backendRefs": [{"name": "catalog", "weight": 1}, {"name": "catalog-canary", "weight": 1}]}));
        assert!(refused(&shifted, &change), "another rule in its place");
    }
    // The rule for testers has moved, and nothing else.
    let mut without = target.clone();
    without.testers.clear();
    let leave = change(&at_a_quarter, &without, Want::Weight(percent(2_500)), &originals).unwrap();
    let mut shifted = at_a_quarter.clone();
    shifted["spec"]["rules"]
        .as_array_mut()
        .unwrap()
        .insert(2, json!({"backendRefs": [{"name": "other"}]}));
    assert!(!refused(&at_a_quarter, &leave) && refused(&shifted, &leave));
}

#[test]
fn our_marks_of_ownership_can_be_dropped_and_tell_when_we_wrote() {
    let mut live = simple(RouteKind::Http);
    live["metadata"]["managedFields"] = json!([{"manager": "kubectl", "time": "2026-01-01T00:00:00Z"}, {"manager": "warmfront", "time": "2026-01-02T00:00:00Z"}, {"manager": "contour", "subresource": "status", "time": "2026-02-01T00:00:00Z"}]);
    assert_eq!(
        managed_fields::written_at(&live, "warmfront")
            .map(|at| at.to_string())
            .as_deref(),
        Some("2026-01-02T00:00:00Z")
    );
    let dropped = apply(&live, managed_fields::drop_entries(&live, "warmfront"));
    assert_eq!(dropped["metadata"]["managedFields"].as_array().unwrap().len(), 2);
    assert_eq!(managed_fields::drop_entries(&dropped, "warmfront"), None);
    assert_eq!(managed_fields::written_at(&dropped, "warmfront"), None);
    assert_eq!(
        managed_fields::newest_other_manager(&live, "warmfront").as_deref(),
        Some("kubectl")
    );
}

/// A rule in which the Service stands, alone or among others, with any weights that add up to more than 0 for it.
fn any_rule() -> impl Strategy<Value = Value> {
    let weight = || proptest::option::of(0..=10_000_i64);
    let stable = proptest::option::of(1..=10_000_i64);
    (
        stable,
        proptest::collection::vec(weight(), 0..4),
        0..4_usize,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(stable, others, place, matches, sticky)| {
            let entry = |name: String, weight: Option<i64>| match weight {
                Some(weight) => json!({"name": name, "port": 80, "weight": weight}),
                None => json!({"name": name, "port": 80}),
            };
            let mut backends: Vec<Value> = others
                .iter()
                .enumerate()
                .map(|(n, weight)| entry(format!("o{n}"), *weight))
                .collect();
            backends.insert(place.min(backends.len()), entry("catalog".to_owned(), stable));
            let mut rule = json!({"backendRefs": backends, "timeouts": {"request": "3s"}});
            if matches {
                rule["matches"] = json!([{"headers": [{"name": "tenant", "value": "a"}]}]);
            }
            if sticky {
                rule["sessionPersistence"] = json!({});
            }
            rule
        })
}

fn any_route() -> impl Strategy<Value = (RouteKind, Value)> {
    let kind = prop_oneof![Just(RouteKind::Http), Just(RouteKind::Grpc)];
    let foreign = || proptest::collection::vec(Just(json!({"backendRefs": [{"name": "search", "weight": 3}]})), 0..2);
    (kind, foreign(), proptest::collection::vec(any_rule(), 1..4), foreign()).prop_map(
        |(kind, before, rules, after)| {
            let rules: Vec<Value> = before.into_iter().chain(rules).chain(after).collect();
            (kind, route(kind, &Value::from(rules)))
        },
    )
}

fn weights_of(rule: &Value) -> Vec<(String, i64)> {
    let backends = rule["backendRefs"].as_array().unwrap();
    backends
        .iter()
        .map(|backend| {
            (
                backend["name"].as_str().unwrap().to_owned(),
                backend["weight"].as_i64().unwrap_or(1),
            )
        })
        .collect()
}

proptest! {
    #[test]
    fn writes_what_it_reads_once_and_puts_back_to_the_byte(
        (kind, live) in any_route(),
        testers in 0..3_usize,
        wants in proptest::collection::vec((0..=100_u32, 0..4_u8), 1..6),
    ) {
        let testers = (0..testers).map(|n| Tester { header: format!("x-{n}"), equals: "1".to_owned() }).collect();
        let all = Target { rules: vec!["*".to_owned()], testers, ..target(kind) };
        let originals = read(&live, &all).unwrap().weights;
        let rules = live["spec"]["rules"].as_array().unwrap();
        let mut now = live.clone();
        for (share, how) in wants {
            let share = percent(share * 100);
            let mut asked = all.clone();
            if how == 0 {
                asked.testers.clear();
            }
            let want = if how == 1 { Want::Drained } else { Want::Weight(share) };
            now = apply(&now, change(&now, &asked, want, &originals).unwrap());
            // Write twice: no change.
            prop_assert_eq!(change(&now, &asked, want, &originals).unwrap(), None);
            // Read what was written.
            let state = read(&now, &all).unwrap();
            prop_assert!(state.carries(if how == 1 { Percent::ZERO } else { share }), "{:?}", state);
            prop_assert_eq!(state.tester_rules > 0, how > 1 && !asked.testers.is_empty());
            prop_assert!(how == 1 || state.entry_stands());
            let written = now["spec"]["rules"].as_array().unwrap();
            for (before, after) in rules.iter().zip(written) {
                let (found, weights) = (weights_of(before), weights_of(after));
                prop_assert!(weights.iter().map(|(_, weight)| weight).sum::<i64>() > 0, "never a sum of 0");
                // Others keep their exact proportion to what both versions have.
                let both: i64 = weights.iter().filter(|(name, _)| name.starts_with("catalog")).map(|(_, weight)| weight).sum();
                let Some((_, stable)) = found.iter().find(|(name, _)| name == "catalog") else {
                    prop_assert_eq!(before, after);
                    continue;
                };
                for (name, weight) in weights.iter().filter(|(name, _)| !name.starts_with("catalog")) {
                    let (_, original) = found.iter().find(|(other, _)| other == name).unwrap();
                    prop_assert_eq!(weight * stable, original * both);
                }
                // Unrelated fields are untouched.
                let rest = |rule: &Value| { let mut rest = rule.clone(); rest["backendRefs"] = Value::Null; rest };
                prop_assert_eq!(rest(before), rest(after));
            }
            for rule in &written[rules.len()..] {
                prop_assert_eq!(weights_of(rule), vec![("catalog-canary".to_owned(), 1)]);
            }
        }
        let back = apply(&now, change(&now, &all, Want::Absent, &originals).unwrap());
        prop_assert_eq!(serde_json::to_string(&back).unwrap(), serde_json::to_string(&live).unwrap());
        prop_assert_eq!(change(&back, &all, Want::Absent, &originals).unwrap(), None);
    }

    /// Of a pair: the same laws, and the entries that were found are never taken out.
    #[test]
    fn the_users_own_entry_keeps_its_place(
        (kind, live) in any_route(),
        places in proptest::collection::vec(proptest::option::of(0..5_usize), 4),
        wants in proptest::collection::vec((0..=100_u32, 0..4_u8), 1..6),
    ) {
        let mut live = live;
        let mut places = places.into_iter().cycle();
        for rule in live["spec"]["rules"].as_array_mut().unwrap() {
            let backends = rule["backendRefs"].as_array_mut().unwrap();
            if let (true, Some(Some(place))) = (backends.iter().any(|backend| backend["name"] == "catalog"), places.next()) {
                backends.insert(place.min(backends.len()), json!({"name": "catalog-canary", "port": 8080, "weight": 0}));
            }
        }
        let mut all = Target { rules: vec!["*".to_owned()], theirs: Some(Theirs::default()), ..target(kind) };
        let originals = read(&live, &all).unwrap().weights;
        all.theirs.as_mut().unwrap().found = originals.clone();
        let rules = live["spec"]["rules"].as_array().unwrap();
        let mut now = live.clone();
        for (share, how) in wants {
            let share = percent(share * 100);
            let want = [Want::Drained, Want::Absent, Want::Weight(share), Want::Weight(share)][usize::from(how)];
            now = apply(&now, change(&now, &all, want, &originals).unwrap());
            prop_assert_eq!(change(&now, &all, want, &originals).unwrap(), None);
            prop_assert_eq!(change(&now, &all, Want::Left, &originals).unwrap(), None);
            let state = read(&now, &all).unwrap();
            prop_assert!(state.carries(if how < 2 { Percent::ZERO } else { share }), "{:?}", state);
            prop_assert!(how < 2 || state.entry_stands());
            for (before, after) in rules.iter().zip(now["spec"]["rules"].as_array().unwrap()) {
                let (found, weights) = (weights_of(before), weights_of(after));
                prop_assert!(weights.iter().map(|(_, weight)| weight).sum::<i64>() > 0, "never a sum of 0");
                let kept: Vec<&String> = weights.iter().map(|(name, _)| name).take(found.len()).collect();
                prop_assert_eq!(kept, found.iter().map(|(name, _)| name).collect::<Vec<_>>());
                let both: i64 = weights.iter().filter(|(name, _)| name.starts_with("catalog")).map(|(_, weight)| weight).sum();
                let Some((_, stable)) = found.iter().find(|(name, _)| name == "catalog") else { continue };
                for (name, weight) in weights.iter().filter(|(name, _)| !name.starts_with("catalog")) {
                    let (_, original) = found.iter().find(|(other, _)| other == name).unwrap();
                    prop_assert_eq!(weight * stable, original * both);
                }
            }
        }
        let back = apply(&now, change(&now, &all, Want::Absent, &originals).unwrap());
        prop_assert_eq!(serde_json::to_string(&back).unwrap(), serde_json::to_string(&live).unwrap());
    }

    /// Whatever another hand has written, reading does not panic, and taking everything back takes everything back.
    #[test]
    fn whatever_stands_there_can_be_taken_back(
        weights in proptest::collection::vec((0..4_u8, proptest::option::of(any::<i64>())), 0..6),
        named: bool,
        tests_header: bool,
    ) {
        let name = |n: u8| ["catalog", "catalog-canary", "legacy", "catalog-canary"][usize::from(n)];
        let backends: Vec<Value> = weights.iter().map(|(n, weight)| json!({"name": name(*n), "weight": weight})).collect();
        let mut rule = json!({"backendRefs": backends});
        if named {
            rule["name"] = json!("warmfront-testers");
        }
        if tests_header {
            rule["matches"] = json!([{"headers": [{"name": "x", "value": "1"}]}]);
        }
        let live = route(RouteKind::Http, &json!([rule]));
        let target = target(RouteKind::Http);
        let state = read(&live, &target).unwrap();
        prop_assert!(state.canary.is_none_or(|share| share <= Percent::FULL));
        let back = apply(&live, change(&live, &target, Want::Absent, &RouteOriginal::default()).unwrap());
        prop_assert!(read(&back, &target).unwrap().entry_gone());
    }
}
