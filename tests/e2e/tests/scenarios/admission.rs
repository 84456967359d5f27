//! What the API server refuses before anything of it reaches the controller.

use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
};
use serde::Deserialize;
use serde_json::{Value, json};
use warmfront::controller::kinds::Kinds;
use warmfront_e2e::Shop;

#[derive(Deserialize)]
struct Refused {
    kind: String,
    #[serde(default = "short_name")]
    name: String,
    spec: Value,
    says: String,
}

fn short_name() -> String {
    "catalog".to_owned()
}

fn valid(kind: &str) -> Value {
    match kind {
        "CanaryRollout" => json!({
            "workload": {"deployment": {"name": "catalog"}},
            "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}},
            "checks": [{"errorRate": {"max": "1%"}}],
        }),
        "RolloutAction" => json!({"rollout": "catalog", "action": "Promote"}),
        _ => json!({"prometheus": {"url": "http://prometheus.monitoring:9090"}}),
    }
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn objects_that_make_no_sense_are_refused_with_the_reason() -> anyhow::Result<()> {
    let shop = Shop::open("admission").await?;
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::apply("e2e").validation_strict()
    };
    let api = |kind: &str| match kind {
        "CanaryRollout" => shop.api(&Kinds::rollout()),
        "RolloutAction" => shop.api(&Kinds::action()),
        _ => Api::<DynamicObject>::all_with(shop.client.clone(), &Kinds::source()),
    };
    let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "warmfront.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    for kind in ["CanaryRollout", "RolloutAction", "MetricSource"] {
        api(kind)
            .patch("catalog", &dry, &Patch::Apply(object(kind, "catalog", valid(kind))))
            .await?;
    }
    let mut pair = valid("CanaryRollout");
    pair["workload"] = json!({"pair": {"baseline": {"deployment": "a", "service": "a"}, "candidate": {"deployment": "b", "service": "b"}}});
    api("CanaryRollout")
        .patch("pair", &dry, &Patch::Apply(object("CanaryRollout", "pair", pair)))
        .await?;
    let cases: Vec<Refused> = serde_yaml::from_str(include_str!("../../refused.yaml"))?;
    for Refused {
        kind,
        name,
        spec: more,
        says,
    } in cases
    {
        let mut spec = valid(&kind);
        if let (Value::Object(spec), Value::Object(more)) = (&mut spec, more.clone()) {
            spec.extend(more);
        }
        match api(&kind)
            .patch(&name, &dry, &Patch::Apply(object(&kind, &name, spec)))
            .await
        {
            Ok(_) => panic!("{kind} with {more} was let in; `{says}` was expected"),
            Err(kube::Error::Api(refusal)) => assert!(
                refusal.message.contains(&says),
                "{kind} with {more}: `{}` does not say `{says}`",
                refusal.message
            ),
            Err(error) => return Err(error.into()),
        }
    }
    shop.close().await
}
