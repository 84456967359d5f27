//! `undo`: the Deployment gets an earlier pod template back.

use anyhow::Context as _;
use serde_json::json;

use super::{
    Frame,
    exit::Exit,
    paint::Tone,
    print,
    template::{self, Request, Target, Version},
};
use crate::api::GROUP;

/// Options of `undo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    request: Request,
    /// To this revision of `kubectl rollout history`. Default: during a release, and after one that was rolled back, the version that serves;
    /// otherwise the one before it.
    #[arg(long, value_name = "NUMBER")]
    to_revision: Option<i64>,
}

/// What `undo` does with a Deployment.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// The version that serves: the release under way is taken back.
    Back,
    /// The version that serves, between releases: nothing moves.
    Settle,
    /// Another version, by a release.
    Release,
}

/// Changes the Deployment, and says what follows.
pub async fn run(frame: &Frame, args: &Args) -> anyhow::Result<Exit> {
    let cluster = frame.connect().await?;
    let (request, name) = (&args.request, &args.request.name);
    let instead = format!(
        "`kubectl canary abort {name} -n {}` sends the traffic back to the baseline",
        cluster.namespace
    );
    let target = template::target(&cluster, request, &instead).await?;
    let versions = template::versions(&cluster, name, &target.deployment).await?;
    let (to, way) = choose(&target, &versions, args.to_revision)?;
    template::put(&cluster, &target, request, &to.template).await?;
    if let Some(output) = frame.data() {
        let value = json!({"deployment": target.name, "revision": to.revision, "number": to.number});
        print::data(output, &value, &[format!("canaryrollout.{GROUP}/{name}")])?;
        return Ok(Exit::Reached);
    }
    let follow = format!(
        "follow it with `kubectl canary status {name} -n {} -w`",
        cluster.namespace
    );
    let then = match way {
        Way::Back => format!("which serves, so the release is taken back at once; {follow}"),
        Way::Settle => "which serves, so no release begins".to_owned(),
        Way::Release => format!("and a release of it begins; {follow}"),
    };
    let said = format!(
        "{name}: Deployment {} has the template of revision {} again, {then}",
        target.name, to.revision
    );
    print::lines(&[frame.paint.tone(Tone::Good, &said)])?;
    Ok(Exit::Reached)
}

fn choose<'a>(target: &Target, versions: &'a [Version], number: Option<i64>) -> anyhow::Result<(&'a Version, Way)> {
    let name = &target.name;
    let serving = target.status.stable_revision.as_deref().unwrap_or_default();
    let stable = versions.iter().find(|version| version.revision == serving);
    let current = template::of(&target.deployment);
    let to = if let Some(number) = number {
        let found = versions.iter().find(|version| version.number == Some(number));
        found.with_context(|| {
            format!("Deployment {name} has no revision {number}: `kubectl rollout history deployment/{name}` lists those that there are")
        })?
    } else {
        let stable = stable.with_context(|| {
            format!("the ReplicaSet of revision {serving}, which serves, was not found: apply its template by hand")
        })?;
        if stable.template == current {
            before(versions, stable).with_context(|| {
                format!("Deployment {name} has no version before revision {serving}: apply the wanted template by hand")
            })?
        } else {
            stable
        }
    };
    if to.template == current {
        anyhow::bail!(
            "Deployment {name} has the template of revision {} already; nothing was changed",
            to.revision
        );
    }
    let way = match (to.revision == serving, target.status.is_active()) {
        (true, true) => Way::Back,
        (true, false) => Way::Settle,
        (false, _) => Way::Release,
    };
    Ok((to, way))
}

/// The newest version before this one.
fn before<'a>(versions: &'a [Version], stable: &Version) -> Option<&'a Version> {
    let numbered = versions
        .iter()
        .filter(|version| version.number.is_some() && version.number < stable.number);
    numbered.max_by_key(|version| version.number)
}

#[cfg(test)]
mod tests;
