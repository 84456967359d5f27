//! Writes as clients ask for them: created, changed and deleted, or refused as an API server refuses.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Author, Key, Store, admission::is_paused, seconds, text};
use crate::apiserver::{kinds::Kind, refusal::Refusal};

fn key(kind: Kind, namespace: &str, name: &str) -> Key {
    let namespace = if kind.traits().namespaced { namespace } else { "" };
    (kind, namespace.to_owned(), name.to_owned())
}

/// A ReplicaSet whose selector does not fit its own pods is not taken.
fn selects_its_template(object: &Value) -> Result<(), Refusal> {
    let labels = object.pointer("/spec/template/metadata/labels");
    let selector = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let fits = selector.is_some_and(|selector| {
        selector
            .iter()
            .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
    });
    if fits {
        return Ok(());
    }
    Err(Refusal::invalid(
        "spec.template.metadata.labels",
        "`selector` does not match template `labels`",
    ))
}

/// Of a write, what is the API server's to say stays as it was: the status, if it has its own endpoint, and fields of the
/// metadata.
fn keep_what_the_server_sets(kind: Kind, old: &Value, wanted: &mut Value) {
    if let (true, Some(fields)) = (kind.traits().status, wanted.as_object_mut()) {
        match old.get("status") {
            Some(status) => fields.insert("status".to_owned(), status.clone()),
            None => fields.remove("status"),
        };
    }
    for field in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "generation",
        "name",
        "namespace",
        "resourceVersion",
    ] {
        match old["metadata"].get(field) {
            Some(value) => wanted["metadata"][field] = value.clone(),
            None => drop(
                wanted["metadata"]
                    .as_object_mut()
                    .map(|metadata| metadata.remove(field)),
            ),
        }
    }
}

impl Store {
    /// The name that an object asks for, or one made for it.
    fn name(&mut self, object: &Value) -> Result<String, Refusal> {
        let name = text(object, "/metadata/name");
        if !name.is_empty() {
            return Ok(name.to_owned());
        }
        let base = text(object, "/metadata/generateName")
            .chars()
            .take(58)
            .collect::<String>();
        if base.is_empty() {
            return Err(Refusal::invalid(
                "metadata.name",
                "Required value: name or generateName is required",
            ));
        }
        Ok(format!("{base}{}", self.fresh_suffix()))
    }

    /// Whether a namespace takes new objects.
    fn takes_new(&self, namespace: &str) -> Result<(), Refusal> {
        match self.get(Kind::Namespace, "", namespace) {
            None => Err(Refusal::not_found(&format!("namespaces \"{namespace}\""))),
            Some(space) if space.pointer("/metadata/deletionTimestamp").is_some() => {
                Err(Refusal::terminating(namespace))
            }
            Some(_) => Ok(()),
        }
    }

    /// Creates an object.
    pub fn create(
        &mut self,
        kind: Kind,
        namespace: &str,
        mut object: Value,
        author: Author<'_>,
    ) -> Result<Arc<Value>, Refusal> {
        let traits = kind.traits();
        let name = self.name(&object)?;
        let what = format!("{} \"{name}\"", traits.plural);
        let key = key(kind, namespace, &name);
        if traits.namespaced {
            self.takes_new(namespace)?;
        }
        if self.objects.contains_key(&key) {
            return Err(Refusal::exists(&what));
        }
        if kind == Kind::ReplicaSet {
            selects_its_template(&object)?;
        }
        object["apiVersion"] = json!(kind.api_version());
        object["kind"] = json!(traits.kind);
        self.names += 1;
        let uid = format!(
            "{:08x}-0000-4000-8000-{:012x}",
            self.names.wrapping_mul(2_654_435_761) & 0xffff_ffff,
            self.names
        );
        let now = self.now();
        let metadata = &mut object["metadata"];
        metadata["name"] = json!(name);
        if traits.namespaced {
            metadata["namespace"] = json!(namespace);
        }
        metadata["uid"] = json!(uid);
        metadata["creationTimestamp"] = json!(seconds(now));
        if traits.generation {
            metadata["generation"] = json!(1);
        }
        if let (true, Some(fields)) = (traits.status && author.manager == "warmfront", object.as_object_mut()) {
            fields.remove("status");
        }
        Ok(self.commit(key, None, object, author))
    }

    /// Changes an object: `change` gets it as it stands.
    pub fn update(
        &mut self,
        kind: Kind,
        namespace: &str,
        name: &str,
        author: Author<'_>,
        change: impl FnOnce(&mut Value) -> Result<(), Refusal>,
    ) -> Result<Arc<Value>, Refusal> {
        let traits = kind.traits();
        let what = format!("{} \"{name}\"", traits.plural);
        let key = key(kind, namespace, name);
        let old = self
            .objects
            .get(&key)
            .cloned()
            .ok_or_else(|| Refusal::not_found(&what))?;
        let mut wanted = (*old).clone();
        change(&mut wanted)?;
        let version = text(&wanted, "/metadata/resourceVersion");
        if !version.is_empty() && version != text(&old, "/metadata/resourceVersion") {
            return Err(Refusal::conflict(&what));
        }
        let mut new = if author.status {
            let mut new = (*old).clone();
            new["status"] = wanted["status"].take();
            new
        } else {
            keep_what_the_server_sets(kind, &old, &mut wanted);
            wanted
        };
        let asked = is_paused(&new);
        self.admit(kind, &old, &mut new);
        if author.dry_run {
            return Ok(Arc::new(new));
        }
        if new == *old {
            return Ok(old);
        }
        if kind == Kind::Deployment {
            self.own_pause(&old, &mut new, asked, author);
        }
        if traits.generation && !author.status && new.get("spec") != old.get("spec") {
            new["metadata"]["generation"] = json!(old["metadata"]["generation"].as_i64().unwrap_or_default() + 1);
        }
        let finalizers = new
            .pointer("/metadata/finalizers")
            .and_then(Value::as_array)
            .is_none_or(Vec::is_empty);
        // What has no finalizer from the beginning is taken away by whoever runs it.
        if finalizers
            && !matches!(kind, Kind::Pod | Kind::Namespace)
            && new.pointer("/metadata/deletionTimestamp").is_some()
        {
            return Ok(self.remove(&key, author));
        }
        Ok(self.commit(key, Some(old), new, author))
    }

    /// Deletes an object; one with finalizers is marked only.
    pub fn delete(
        &mut self,
        kind: Kind,
        namespace: &str,
        name: &str,
        uid: Option<&str>,
        author: Author<'_>,
    ) -> Result<Arc<Value>, Refusal> {
        let traits = kind.traits();
        let what = format!("{} \"{name}\"", traits.plural);
        let key = key(kind, namespace, name);
        let old = self
            .objects
            .get(&key)
            .cloned()
            .ok_or_else(|| Refusal::not_found(&what))?;
        if uid.is_some_and(|uid| uid != text(&old, "/metadata/uid")) {
            return Err(Refusal::conflict(&what));
        }
        let held = old
            .pointer("/metadata/finalizers")
            .and_then(Value::as_array)
            .is_some_and(|list| !list.is_empty());
        // Pods stop serving a while after they were asked to; whoever runs them takes them away.
        if !held && kind != Kind::Pod && kind != Kind::Namespace {
            return Ok(self.remove(&key, author));
        }
        if old.pointer("/metadata/deletionTimestamp").is_some() {
            return Ok(old);
        }
        let mut new = (*old).clone();
        new["metadata"]["deletionTimestamp"] = json!(seconds(self.now()));
        if traits.generation {
            new["metadata"]["generation"] = json!(old["metadata"]["generation"].as_i64().unwrap_or_default() + 1);
        }
        Ok(self.commit(key, Some(old), new, author))
    }
}
