//! A status that this version cannot read: it stays as it is, holds the weight, and goes back on request.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::json;
use warmfront::{
    api::{action::Verb, status::Phase},
    controller::kinds::Kinds,
};
use warmfront_e2e::Shop;

use super::{is, stays_at};

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn a_status_that_cannot_be_read_is_shown_and_goes_back_on_request() -> anyhow::Result<()> {
    let shop = Shop::adopted("unreadable", stays_at(25)).await?;
    shop.release(&[("VERSION", "v2")]).await?;
    shop.at(1, 25).await?;
    let rollouts = shop.api(&Kinds::rollout());
    // Its workload is not there, without which nothing could be taken back.
    let patch = json!([{"op": "replace", "path": "/status/run/plan", "value": {}}]);
    let patch = Patch::<()>::Json(serde_json::from_value(patch)?);
    rollouts
        .patch_status("catalog", &PatchParams::default(), &patch)
        .await?;
    let reason = |object: &kube::api::DynamicObject| {
        let conditions = object.data["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let accepted = conditions.into_iter().find(|condition| condition["type"] == "Accepted");
        accepted.map(|accepted| accepted["reason"].clone()).unwrap_or_default()
    };
    let mut shown = json!(null);
    for _ in 0..30 {
        shown = reason(&rollouts.get("catalog").await?);
        if shown == "StatusUnreadable" {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(shown, "StatusUnreadable");
    assert_eq!(
        rollouts.get("catalog").await?.data["status"]["run"]["plan"],
        json!({}),
        "it stays as it is"
    );
    shop.act(Verb::Abort).await?;
    let status = shop
        .until("it goes back", |status| status.phase == Phase::RolledBack)
        .await?;
    is(&status, "RolledBack", "True", "Aborted");
    shop.close().await
}
