//! `restart`: new pods of the same version, by a release.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Frame,
    exit::Exit,
    paint::Tone,
    print,
    template::{self, Request},
};
use crate::api::GROUP;

/// Options of `restart`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    request: Request,
}

/// The annotation by which kubectl restarts, too.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Changes the Deployment, and says what follows.
pub async fn run(frame: &Frame, args: &Args) -> anyhow::Result<Exit> {
    let cluster = frame.connect().await?;
    let (request, name) = (&args.request, &args.request.name);
    let instead = "`kubectl rollout restart deployment/NAME` restarts the one that is meant";
    let target = template::target(&cluster, request, instead).await?;
    let template = restarted(template::of(&target.deployment), Timestamp::now());
    template::put(&cluster, &target, request, &template).await?;
    if let Some(output) = frame.data() {
        let value = json!({"deployment": target.name});
        print::data(output, &value, &[format!("canaryrollout.{GROUP}/{name}")])?;
        return Ok(Exit::Reached);
    }
    let then = if target.status.is_active() {
        "the release under way is superseded by one of the restarted version, from its first step"
    } else {
        "a release of it begins"
    };
    let said = format!(
        "{name}: the template of Deployment {} asks for new pods, and {then}; follow it with `kubectl canary status {name} -n {} -w`",
        target.name, cluster.namespace
    );
    print::lines(&[frame.paint.tone(Tone::Good, &said)])?;
    Ok(Exit::Reached)
}

/// The template with the moment of the restart.
fn restarted(mut template: Value, now: Timestamp) -> Value {
    let empty = || Value::Object(Map::new());
    if let Some(whole) = template.as_object_mut() {
        let metadata = whole.entry("metadata").or_insert_with(empty);
        if let Some(metadata) = metadata.as_object_mut() {
            let annotations = metadata.entry("annotations").or_insert_with(empty);
            if let Some(annotations) = annotations.as_object_mut() {
                annotations.insert(
                    RESTARTED_AT.to_owned(),
                    json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
                );
            }
        }
    }
    template
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_annotation_is_new() {
        let now = "2027-01-15T08:10:00.5Z".parse().unwrap();
        let template = json!({"metadata": {"labels": {"app": "catalog"}}, "spec": {"x": 1}});
        let mut wanted = template.clone();
        wanted["metadata"]["annotations"] = json!({RESTARTED_AT: "2027-01-15T08:10:00Z"});
        assert_eq!(restarted(template, now), wanted);
    }
}
