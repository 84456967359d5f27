//! One scenario's namespace: the app, its Service and route, and what is done to them.

mod app;
mod seen;

use anyhow::Context as _;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use warmfront::{
    api::{CanaryRolloutStatus, action::Verb, status::Phase},
    controller::kinds::Kinds,
};

pub use app::steps;

use super::{Controllers, PATIENCE, until};

/// A namespace with the example app.
pub struct Shop {
    /// Talks to the cluster.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
}

impl Shop {
    /// Talks to the cluster that KUBECONFIG names.
    pub async fn client() -> anyhow::Result<Client> {
        // A second scenario of the same process finds it installed.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Client::try_default()
            .await
            .context("finding the cluster: KUBECONFIG is set by `make test`")
    }

    /// An empty namespace; one of an earlier run is removed first.
    pub async fn open(name: &str) -> anyhow::Result<Self> {
        let shop = Self {
            client: Self::client().await?,
            namespace: format!("e2e-{name}"),
        };
        let namespaces = Api::<DynamicObject>::all_with(shop.client.clone(), &core("Namespace", "namespaces"));
        if namespaces.get_opt(&shop.namespace).await?.is_some() {
            namespaces.delete(&shop.namespace, &DeleteParams::default()).await?;
            until(
                &namespaces,
                &shop.namespace,
                "the old namespace is gone",
                PATIENCE,
                |found: Option<&DynamicObject>| found.is_none(),
            )
            .await?;
        }
        let object = serde_json::from_value(
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": shop.namespace}}),
        )?;
        namespaces.create(&PostParams::default(), &object).await?;
        Ok(shop)
    }

    /// Name under which the gateway knows the app.
    pub fn host(&self) -> String {
        format!("{}.example", self.namespace)
    }

    /// Objects of a kind in this namespace.
    pub fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, resource)
    }

    /// Objects of a core kind in this namespace.
    pub fn core(&self, kind: &str, plural: &str) -> Api<DynamicObject> {
        self.api(&core(kind, plural))
    }

    /// Creates an object.
    pub async fn create(&self, resource: &ApiResource, object: Value) -> anyhow::Result<()> {
        let what = format!("creating {} {}", resource.kind, object["metadata"]["name"]);
        self.api(resource)
            .create(&PostParams::default(), &serde_json::from_value(object)?)
            .await
            .context(what)?;
        Ok(())
    }

    /// Changes an object by merge patch.
    pub async fn merge(&self, resource: &ApiResource, name: &str, patch: Value) -> anyhow::Result<()> {
        let params = PatchParams {
            field_manager: Some("e2e".to_owned()),
            ..PatchParams::default()
        };
        self.api(resource)
            .patch(name, &params, &Patch::Merge(patch))
            .await
            .with_context(|| format!("changing {} {name}", resource.kind))?;
        Ok(())
    }

    /// Changes an object by strategic merge patch: lists of named things are merged by name.
    pub async fn strategic(&self, resource: &ApiResource, name: &str, patch: Value) -> anyhow::Result<()> {
        let params = PatchParams {
            field_manager: Some("e2e".to_owned()),
            ..PatchParams::default()
        };
        self.api(resource)
            .patch(name, &params, &Patch::Strategic(patch))
            .await
            .with_context(|| format!("changing {} {name}", resource.kind))?;
        Ok(())
    }

    /// Waits until a change of the app's template would be held.
    pub async fn held(&self) -> anyhow::Result<()> {
        self.held_named("catalog").await
    }

    /// The same for another Deployment: held by the API server, or by a pause where it has no such policy.
    pub async fn held_named(&self, name: &str) -> anyhow::Result<()> {
        let by_policy = self.holds_by_policy().await?;
        let held = move |found: Option<&DynamicObject>| {
            found.is_some_and(|object| {
                object.labels().contains_key("warmfront.dev/rollout")
                    && (object.data["spec"]["paused"] == true) != by_policy
            })
        };
        until(
            &self.api(&Kinds::deployment()),
            name,
            "the Deployment is held",
            PATIENCE,
            held,
        )
        .await
        .map(|_| ())
    }

    /// The API server has the policy that holds Deployments.
    pub async fn holds_by_policy(&self) -> anyhow::Result<bool> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(
            "admissionregistration.k8s.io",
            "v1beta1",
            "MutatingAdmissionPolicy",
        ));
        let policies = Api::<DynamicObject>::all_with(self.client.clone(), &resource);
        match policies.get_opt("warmfront-hold").await {
            Ok(found) => Ok(found.is_some()),
            // A version that is not served is answered in plain text.
            Err(kube::Error::Api(refusal)) if refusal.code == 404 => Ok(false),
            Err(failure) => Err(failure).context("looking for the policy warmfront-hold"),
        }
    }

    /// Waits until the Deployment is paused.
    pub async fn paused(&self) -> anyhow::Result<()> {
        let paused = |found: Option<&DynamicObject>| found.is_some_and(|object| object.data["spec"]["paused"] == true);
        until(
            &self.api(&Kinds::deployment()),
            "catalog",
            "the Deployment is paused",
            PATIENCE,
            paused,
        )
        .await
        .map(|_| ())
    }

    /// Waits until the rollout's status is as wanted.
    pub async fn until(
        &self,
        what: &str,
        wanted: impl Fn(&CanaryRolloutStatus) -> bool + Send,
    ) -> anyhow::Result<CanaryRolloutStatus> {
        self.until_of("catalog", what, wanted).await
    }

    /// The same for a rollout of another name.
    pub async fn until_of(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&CanaryRolloutStatus) -> bool + Send,
    ) -> anyhow::Result<CanaryRolloutStatus> {
        let read = |object: &DynamicObject| {
            serde_json::from_value::<CanaryRolloutStatus>(object.data.get("status").cloned().unwrap_or_default())
                .unwrap_or_default()
        };
        let found = until(
            &self.api(&Kinds::rollout()),
            name,
            what,
            PATIENCE,
            |found: Option<&DynamicObject>| found.is_some_and(|object| wanted(&read(object))),
        )
        .await?;
        Ok(found.as_ref().map(read).unwrap_or_default())
    }

    /// Waits until the run of this number has come to an end in this phase.
    pub async fn ended(&self, run: i64, phase: Phase) -> anyhow::Result<CanaryRolloutStatus> {
        self.until(&format!("run {run} ends in {phase}"), |status| {
            status.phase == phase
                && status
                    .run
                    .as_ref()
                    .is_some_and(|last| last.number == run && last.ended_at.is_some())
        })
        .await
    }

    /// Waits until the canary's confirmed weight is this many percent.
    pub async fn at(&self, run: i64, percent: u32) -> anyhow::Result<CanaryRolloutStatus> {
        let confirmed = |status: &CanaryRolloutStatus| {
            status.run.as_ref().is_some_and(|last| {
                last.number == run && last.weight.hundredths() == percent * 100 && last.intent.is_none()
            })
        };
        self.until(&format!("{percent}% in run {run}"), confirmed).await
    }

    /// Deletes the controller's pods and waits until they are gone and a new one leads.
    pub async fn restart_controller(&self) -> anyhow::Result<()> {
        Controllers::new(&self.client).replace().await
    }

    /// Asks for an action and waits for the answer: its phase and reason.
    pub async fn act(&self, verb: Verb) -> anyhow::Result<(String, String)> {
        self.act_with(verb, json!({})).await
    }

    /// The same with guards.
    pub async fn act_with(&self, verb: Verb, guards: Value) -> anyhow::Result<(String, String)> {
        let mut spec = json!({"rollout": "catalog", "action": verb, "reason": "scenario"});
        if let (Value::Object(spec), Value::Object(guards)) = (&mut spec, guards) {
            spec.extend(guards);
        }
        let object = json!({"apiVersion": "warmfront.dev/v1alpha1", "kind": "RolloutAction", "metadata": {"generateName": "catalog-"}, "spec": spec});
        let actions = self.api(&Kinds::action());
        let asked = actions
            .create(&PostParams::default(), &serde_json::from_value(object)?)
            .await
            .with_context(|| format!("asking for {verb}"))?;
        let answered =
            |found: Option<&DynamicObject>| found.is_some_and(|action| action.data["status"]["phase"].is_string());
        let answer = until(&actions, &asked.name_any(), "an answer", PATIENCE, answered)
            .await?
            .map(|action| action.data["status"].clone())
            .unwrap_or_default();
        let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        Ok((text("phase"), text("reason")))
    }

    /// Removes the namespace without waiting for it.
    pub async fn close(self) -> anyhow::Result<()> {
        let namespaces = Api::<DynamicObject>::all_with(self.client.clone(), &core("Namespace", "namespaces"));
        namespaces.delete(&self.namespace, &DeleteParams::default()).await?;
        Ok(())
    }
}

/// A kind of the core group.
pub fn core(kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: String::new(),
        version: "v1".to_owned(),
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// Status and reason of a condition.
pub fn condition<'a>(status: &'a CanaryRolloutStatus, kind: &str) -> (&'a str, &'a str) {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind);
    found.map_or(("", ""), |condition| (&condition.status, &condition.reason))
}
