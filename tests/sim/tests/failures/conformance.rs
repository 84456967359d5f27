//! The fake Kubernetes treats ReplicaSets as a real one does.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use warmfront_sim::{
    access::{Access, Life},
    apiserver::{kinds::Kind, lock},
    conformance::{CASES, Stage},
    scenario::{given::create, run::simulate},
    world::{self, Cluster, Settings},
};

#[test]
fn the_fake_behaves_like_a_real_one() {
    let mut wrong = Vec::new();
    for case in CASES {
        let result = simulate(async {
            let cluster = Arc::new(Mutex::new(Cluster::new(
                tokio::time::Instant::now(),
                Settings::default(),
            )));
            create(
                &mut lock(&cluster).store,
                Kind::Namespace,
                "",
                json!({"metadata": {"name": "stage"}}),
            );
            let world = tokio::spawn(world::run(cluster.clone()));
            let client = Access {
                cluster,
                life: Life::new(BTreeMap::new()),
            }
            .client();
            let stage = Stage {
                client,
                namespace: "stage".to_owned(),
                container: json!({"name": "app", "image": "registry/app:any"}),
                patience: Duration::from_mins(1),
                stays: Duration::from_secs(3),
            };
            let result = stage.play(case).await;
            world.abort();
            result
        });
        wrong.extend(result.err().map(|error| format!("{error:#}")));
    }
    super::say(&format!(
        "conformance: {} cases, {} do not hold",
        CASES.len(),
        wrong.len()
    ));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
