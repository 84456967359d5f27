//! What the controller's memory costs while others make large objects that no rollout names.

use std::time::Duration;

use super::Bench;

/// Until everything that they made has been heard of.
const HEARD: Duration = Duration::from_secs(10);

impl Bench {
    /// MiB that the peak of resident memory rose by.
    pub(super) async fn hostile(&self) -> anyhow::Result<f64> {
        let controller = self.controller()?;
        controller.forget_peak()?;
        let before = controller.usage()?.peak;
        self.world.make_large().await?;
        tokio::time::sleep(HEARD).await;
        Ok(controller.usage()?.peak - before)
    }
}
