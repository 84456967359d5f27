//! Kubernetes treats ReplicaSets that are taken and given as the simulation's does.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use warmfront_e2e::{PATIENCE, Shop};
use warmfront_sim::conformance::{CASES, Stage};

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn kubernetes_behaves_like_the_simulation() -> anyhow::Result<()> {
    for (number, case) in CASES.iter().enumerate() {
        let shop = Shop::open(&format!("conformance-{number}")).await?;
        let container = json!({
            "name": "catalog", "image": "localhost/catalog:test", "imagePullPolicy": "IfNotPresent",
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532},
            "env": [
                {"name": "DATABASE_URL", "value": "postgres://postgres@postgres.shop/postgres"},
                {"name": "REDIS_URL", "value": "redis://redis.shop/"},
                {"name": "CACHE_KEY_PREFIX", "value": shop.namespace},
            ],
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
        });
        let stage = Stage {
            client: shop.client.clone(),
            namespace: shop.namespace.clone(),
            container,
            patience: PATIENCE,
            stays: Duration::from_secs(3),
        };
        stage.play(case).await.with_context(|| format!("case {}", number + 1))?;
        shop.close().await?;
    }
    Ok(())
}
