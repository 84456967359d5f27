//! Objects at moments of releases, as the health rules of other tools are tried on them in tests/cluster/modules/health.

use std::{fs, path::PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use warmfront_sim::{
    apiserver::{kinds::Kind, lock},
    scenario::{
        Given, Leaders, Run, Scenario,
        given::{CANDIDATE, NAME, NAMESPACE},
        run,
    },
    sweep::in_parallel,
};

/// One moment: what leads to it. What must hold then is read by the other side.
#[derive(Deserialize)]
struct Moment {
    name: String,
    #[serde(default)]
    given: Given,
    script: Value,
}

/// What is kept of a status: what other tools read. The rest is the controller's memory, which changes with every version.
const SHOWN: [&str; 7] = [
    "observedGeneration",
    "observedWorkloadGeneration",
    "phase",
    "message",
    "stableRevision",
    "rejected",
    "conditions",
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../cluster/modules/health/testdata")
}

/// Without what is the API server's own business, and without the controller's memory.
fn shown(kind: Kind, object: &Value) -> Value {
    let mut object = object.clone();
    let traits = kind.traits();
    object["apiVersion"] = json!(if traits.group.is_empty() {
        traits.version.to_owned()
    } else {
        format!("{}/{}", traits.group, traits.version)
    });
    object["kind"] = json!(traits.kind);
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|key, _| !matches!(key.as_str(), "resourceVersion" | "managedFields" | "uid"));
    }
    if kind == Kind::CanaryRollout
        && let Some(status) = object["status"].as_object_mut()
    {
        status.retain(|key, _| SHOWN.contains(&key.as_str()));
    }
    object
}

/// The rollout, its Deployment, and the objects that a release changes for its time: as they are, and as Git has them.
async fn objects(moment: &Moment) -> anyhow::Result<Value> {
    let scenario: Scenario =
        serde_json::from_value(json!({"title": moment.name, "given": moment.given, "script": moment.script}))?;
    let mut run = Run::begin(&scenario, Vec::new(), Leaders::default()).await;
    let git: Vec<(Kind, String, Value)> = seen(&run)
        .into_iter()
        .filter(|(kind, ..)| !matches!(kind, Kind::CanaryRollout | Kind::Deployment))
        .collect();
    run.script(&scenario).await?;
    Ok(told(&run, git))
}

fn seen(run: &Run) -> Vec<(Kind, String, Value)> {
    let cluster = lock(&run.cluster);
    let released = if run.given.pair { CANDIDATE } else { NAME };
    let names = [
        (Kind::CanaryRollout, NAME),
        (Kind::Deployment, released),
        (Kind::Service, NAME),
        (Kind::HttpRoute, NAME),
        (Kind::HorizontalPodAutoscaler, NAME),
        (Kind::ScaledObject, NAME),
    ];
    let found = names.into_iter().filter_map(|(kind, name)| {
        let object = cluster.store.get(kind, NAMESPACE, name)?;
        Some((kind, name.to_owned(), shown(kind, &object)))
    });
    found.collect()
}

fn told(run: &Run, git: Vec<(Kind, String, Value)>) -> Value {
    let objects = |all: Vec<(Kind, String, Value)>| all.into_iter().map(|(.., object)| object).collect::<Vec<_>>();
    json!({"live": objects(seen(run)), "git": objects(git)})
}

/// Whether they are alike but for times and the numbers in sentences: clients wait for random parts of a second.
fn same(kept: &str, played: &str) -> bool {
    let read = |text: &str| serde_json::from_str(text).map(timeless).ok();
    read(kept).is_some_and(|kept| Some(kept) == read(played))
}

fn timeless(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                let text = field.as_str().map(str::is_empty);
                *field = match text {
                    Some(empty) if name == "message" => json!(empty),
                    Some(_) if name == "at" || name.ends_with("Time") || name.ends_with("Timestamp") => Value::Null,
                    _ => timeless(field.take()),
                };
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = timeless(item.take())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    value
}

#[test]
fn moments_that_health_rules_are_tried_on_are_fresh() {
    let file = folder().join("moments.yaml");
    let yaml: serde_yaml::Value = serde_yaml::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let moments: Vec<Moment> = serde_json::from_value(serde_json::to_value(yaml).unwrap()).unwrap();
    assert!(moments.len() > 40, "{} moments", moments.len());
    let played = in_parallel(&moments, |moment| {
        let objects = run::simulate(objects(moment)).unwrap_or_else(|why| panic!("{}: {why:#}", moment.name));
        (
            moment.name.clone(),
            serde_json::to_string_pretty(&objects).unwrap() + "\n",
        )
    });
    let update = std::env::var_os("UPDATE").is_some();
    let mut stale = Vec::new();
    for (name, text) in played {
        let path = folder().join(format!("moments/{name}.json"));
        let kept = || fs::read_to_string(&path).unwrap_or_default();
        if update && !same(&kept(), &text) {
            fs::write(&path, &text).unwrap();
        }
        if !same(&kept(), &text) {
            stale.push(name);
        }
    }
    let kept = fs::read_dir(folder().join("moments")).unwrap().count();
    assert!(
        stale.is_empty() && kept == moments.len(),
        "{} moments are stale: {stale:?}, and {kept} files stand for {}: run `make generate` and commit",
        stale.len(),
        moments.len()
    );
}
