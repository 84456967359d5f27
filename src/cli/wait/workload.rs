//! Reads the Deployments that a rollout names: which generations they are at when the wait begins.

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;

use super::{
    super::{connect::Cluster, rollout::Rollout, trouble::explain},
    order::{Seen, Workload},
};

/// Reads them. An error is one that may be gone when it is tried again.
pub async fn read(cluster: &Cluster, rollout: &Rollout) -> anyhow::Result<Seen<'static>> {
    let named = |path: &str| rollout.object.data.pointer(path).and_then(|name| name.as_str());
    let spec = "/spec/workload";
    let single = named(&format!("{spec}/deployment/name"));
    let candidate = named(&format!("{spec}/pair/candidate/deployment"));
    let baseline = named(&format!("{spec}/pair/baseline/deployment"));
    let Some(name) = single.or(candidate) else {
        anyhow::bail!("reading the Deployment failed: the CanaryRollout names none in spec.workload; correct it");
    };
    let released = match get(cluster, name).await? {
        Ok(deployment) => deployment,
        Err(seen) => return Ok(seen),
    };
    let compared = match baseline {
        None => None,
        Some(name) => match get(cluster, name).await? {
            Ok(deployment) => deployment.metadata.generation,
            Err(seen) => return Ok(seen),
        },
    };
    let template = released.spec.and_then(|spec| spec.template.spec);
    let images = template.into_iter().flat_map(|pod| {
        let inits = pod.init_containers.unwrap_or_default().into_iter();
        inits.chain(pod.containers).filter_map(|container| container.image)
    });
    Ok(Seen::Workload(Workload {
        name: name.to_owned(),
        uid: released.metadata.uid.unwrap_or_default(),
        generation: released.metadata.generation.unwrap_or_default(),
        images: images.collect(),
        baseline: compared,
    }))
}

/// One Deployment, or what is seen instead.
async fn get(cluster: &Cluster, name: &str) -> anyhow::Result<Result<Deployment, Seen<'static>>> {
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let tried = format!("reading Deployment {}/{name}", cluster.namespace);
    let answer = tokio::time::timeout(cluster.timeout, api.get_opt(name)).await;
    match answer {
        Ok(Ok(Some(deployment))) => Ok(Ok(deployment)),
        Ok(Ok(None)) => Ok(Err(Seen::NoWorkload(name.to_owned()))),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
            Ok(Err(Seen::Unreadable(format!("{tried} failed: {}", status.message))))
        }
        Ok(Err(error)) => Err(explain(&cluster.server, &tried, &error)),
        Err(_) => anyhow::bail!("{tried} failed: {} has not answered in time", cluster.server),
    }
}
