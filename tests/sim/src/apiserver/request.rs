//! What a request asks for, read from its method, path and query.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use super::{
    kinds::{Kind, Traits},
    refusal::Refusal,
    store::Store,
};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the API's own verbs")]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Replace,
    JsonPatch,
    MergePatch,
    Delete,
}

/// One request.
#[derive(Clone, Debug)]
pub enum Request {
    /// Which kinds there are, of this group in this version.
    Kinds(String, String),
    /// Something with objects.
    Objects(Asked),
}

impl Request {
    /// For people.
    pub fn text(&self) -> String {
        match self {
            Self::Kinds(group, version) => format!("Kinds {group}/{version}"),
            Self::Objects(asked) => asked.text(),
        }
    }

    /// Whether it is part of a watch.
    pub fn watches(&self) -> bool {
        matches!(
            self,
            Self::Objects(Asked {
                verb: Verb::Watch | Verb::List,
                ..
            })
        )
    }

    /// Reads a request's head.
    pub fn read(head: &http::request::Parts) -> Result<Self, Refusal> {
        let parts: Vec<&str> = head.uri.path().split('/').filter(|part| !part.is_empty()).collect();
        match (&head.method, parts.as_slice()) {
            (&Method::GET, ["apis", group, version]) => Ok(Self::Kinds((*group).to_owned(), (*version).to_owned())),
            _ => Asked::read(head).map(Self::Objects),
        }
    }
}

/// The kinds of a group in a version.
pub fn kinds(store: &Store, group: &str, version: &str) -> Result<Value, Refusal> {
    let known = Kind::ALL
        .into_iter()
        .filter(|kind| !store.lacks(*kind))
        .map(Kind::traits);
    let found = known.filter(|traits| traits.group == group && traits.version == version);
    let resource = |traits: Traits| json!({"name": traits.plural, "singularName": "", "namespaced": traits.namespaced, "kind": traits.kind, "verbs": ["get", "list", "watch", "patch"]});
    let resources: Vec<Value> = found.map(resource).collect();
    if resources.is_empty() {
        return Err(Refusal::no_page());
    }
    Ok(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{group}/{version}"), "resources": resources}),
    )
}

/// One request about objects.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What is to be done.
    pub verb: Verb,
    /// With which kind.
    pub kind: Kind,
    /// Where; `None` is everywhere.
    pub namespace: Option<String>,
    /// With which object.
    pub name: String,
    /// With its status.
    pub status: bool,
    /// Metadata is all that is wanted of each object.
    pub metadata: bool,
    /// Further parameters.
    pub query: BTreeMap<String, String>,
}

impl Asked {
    /// For people, such as `PATCH httproutes/catalog`.
    pub fn text(&self) -> String {
        let status = if self.status { "/status" } else { "" };
        let name = if self.name.is_empty() {
            String::new()
        } else {
            format!("/{}", self.name)
        };
        let dry = if self.query.contains_key("dryRun") {
            " (dry run)"
        } else {
            ""
        };
        format!("{:?} {}{name}{status}{dry}", self.verb, self.kind.traits().plural)
    }

    /// Whether it changes anything.
    pub fn writes(&self) -> bool {
        !matches!(self.verb, Verb::Get | Verb::List | Verb::Watch)
    }

    /// Reads a request's head.
    pub fn read(head: &http::request::Parts) -> Result<Self, Refusal> {
        let path = head.uri.path();
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let unknown = || Refusal::not_found(&format!("the server could not find the requested resource {path}"));
        let group = match parts.first() {
            Some(&"api") if parts.len() > 2 => {
                parts.drain(..2);
                String::new()
            }
            Some(&"apis") if parts.len() > 3 => {
                let group = parts[1].to_owned();
                parts.drain(..3);
                group
            }
            _ => return Err(unknown()),
        };
        let mut namespace = None;
        if parts.len() > 2 && parts[0] == "namespaces" && Kind::find(&group, parts[2]).is_some() {
            namespace = Some(parts[1].to_owned());
            parts.drain(..2);
        }
        let kind = Kind::find(&group, parts[0]).ok_or_else(unknown)?;
        let name = parts.get(1).copied().unwrap_or_default().to_owned();
        let status = match parts.get(2) {
            None => false,
            Some(&"status") if kind.traits().status => true,
            Some(_) => return Err(unknown()),
        };
        let query = form(head.uri.query().unwrap_or_default());
        let accept = head
            .headers
            .get(http::header::ACCEPT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let metadata = accept.contains("as=PartialObjectMetadata");
        let patch = head
            .headers
            .get(http::header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let watch = query.get("watch").is_some_and(|value| value == "true");
        let verb = match (&head.method, name.is_empty()) {
            (&Method::GET, true) if watch => Verb::Watch,
            (&Method::GET, true) => Verb::List,
            (&Method::GET, false) => Verb::Get,
            (&Method::POST, true) => Verb::Create,
            (&Method::PUT, false) => Verb::Replace,
            (&Method::DELETE, false) => Verb::Delete,
            (&Method::PATCH, false) if patch == "application/json-patch+json" => Verb::JsonPatch,
            (&Method::PATCH, false) if patch == "application/merge-patch+json" => Verb::MergePatch,
            _ => {
                return Err(Refusal::bad_request(&format!(
                    "{} {path} ({patch}) is not simulated",
                    head.method
                )));
            }
        };
        Ok(Self {
            verb,
            kind,
            namespace,
            name,
            status,
            metadata,
            query,
        })
    }
}

fn form(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decoded(key), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).unwrap_or_default();
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => bytes.push(u8::try_from(hex(rest.next()) * 16 + hex(rest.next())).unwrap_or(b'?')),
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether labels answer a selector of the form `a=b,c,d!=e`.
pub fn selected(selector: Option<&String>, label: impl Fn(&str) -> Option<String>) -> bool {
    let terms = selector
        .map(String::as_str)
        .unwrap_or_default()
        .split(',')
        .filter(|term| !term.is_empty());
    terms
        .into_iter()
        .all(|term| match (term.split_once("!="), term.split_once('=')) {
            (Some((key, value)), _) => label(key).as_deref() != Some(value),
            (None, Some((key, value))) => {
                label(key.trim_end_matches('=')).as_deref() == Some(value.trim_start_matches('='))
            }
            (None, None) => label(term).is_some(),
        })
}
