//! Reads objects as the API server writes them, whatever people have put into the parts that no decision reads.
//!
//! Who may create an object chooses its `managedFields`: times that no clock can show, fields that are nested deeper than any
//! parser goes. Of these only what is used is read, and what cannot be read of them counts as absent.

mod pieces;

use std::{borrow::Cow, collections::BTreeMap, fmt};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, OwnerReference, Time};
use kube::{
    Resource,
    api::{DynamicObject, ObjectMeta, TypeMeta},
    core::{ApiResource, DynamicResourceScope},
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value, json, value::RawValue};

use crate::kubernetes::json::Fields;

/// How much of an object is read besides its metadata.
#[derive(Clone, Copy)]
pub enum Part {
    /// These fields, and of each the ones below it that are named; nothing else.
    Only(&'static Fields),
    /// Everything, but of these fields only the ones below that are named.
    AllBut(&'static Fields),
    /// Everything, and of this field every piece that can be read.
    InPieces(&'static str),
}

/// All of it.
pub const WHOLE: Part = Part::AllBut(&[]);

impl Part {
    /// What is read of a field: nothing, all of it, or the named ones below it.
    fn of(self, field: &str) -> Extent {
        let (fields, others) = match self {
            Self::Only(fields) => (fields, Extent::Nothing),
            Self::AllBut(fields) => (fields, Extent::All),
            Self::InPieces(broken) if broken == field => return Extent::Pieces,
            Self::InPieces(_) => return Extent::All,
        };
        let named = fields.iter().find(|(name, _)| *name == field);
        named.map_or(others, |(_, below)| Extent::Below(below))
    }
}

enum Extent {
    Nothing,
    All,
    Below(&'static [&'static str]),
    Pieces,
}

/// Reads an object. The error names the field that cannot be read.
pub fn object(text: &[u8], part: Part) -> Result<DynamicObject, String> {
    let mut json = serde_json::Deserializer::from_slice(text);
    Seed(part).deserialize(&mut json).or_else(|_| named(text, part))
}

/// The same again, as it fails: to know the field costs time.
fn named(text: &[u8], part: Part) -> Result<DynamicObject, String> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let mut track = serde_path_to_error::Track::new();
    let read = Seed(part).deserialize(serde_path_to_error::Deserializer::new(&mut json, &mut track));
    read.map_err(|error: serde_json::Error| format!("{}: {}", track.path(), without_place(&error)))
}

/// What is wrong. Where in the text it is moves with everything that is written before it, and nobody sees that text.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

/// What a watch tells: what has happened, and to which object.
pub fn event(line: &[u8], part: Part) -> Result<(String, DynamicObject), String> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let (kind, object) = json
        .deserialize_map(EventVisitor(Seed(part)))
        .map_err(|error| without_place(&error))?;
    Ok((kind, object))
}

/// Namespace, name and version of an object that cannot be read otherwise, or of the one that a watch tells of.
pub fn identity(text: &[u8]) -> Option<DynamicObject> {
    #[derive(Deserialize)]
    struct Event {
        object: Identity,
    }
    #[derive(Deserialize)]
    struct Identity {
        metadata: Place,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Place {
        name: String,
        namespace: Option<String>,
        resource_version: Option<String>,
    }
    let told = || serde_json::from_slice(text).ok().map(|event: Event| event.object);
    let Identity { metadata } = serde_json::from_slice(text).ok().or_else(told)?;
    Some(DynamicObject {
        types: None,
        metadata: ObjectMeta {
            name: Some(metadata.name),
            namespace: metadata.namespace,
            resource_version: metadata.resource_version,
            ..ObjectMeta::default()
        },
        data: Value::Null,
    })
}

/// An object in the answer to a request of ours, which somebody else may have filled with what cannot be read.
#[derive(Clone, Debug)]
pub struct Answer(pub DynamicObject);

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Seed(WHOLE).deserialize(from).map(Self)
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl Resource for Answer {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        DynamicObject::group(resource)
    }
    fn version(resource: &ApiResource) -> Cow<'_, str> {
        DynamicObject::version(resource)
    }
    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        DynamicObject::kind(resource)
    }
    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        DynamicObject::api_version(resource)
    }
    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        DynamicObject::plural(resource)
    }
    fn meta(&self) -> &ObjectMeta {
        &self.0.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.0.metadata
    }
}

struct Seed(Part);

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = DynamicObject;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<DynamicObject, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = DynamicObject;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object of Kubernetes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<DynamicObject, A::Error> {
        let (mut api_version, mut kind, mut metadata) = (None, None, None);
        let mut data = Map::new();
        while let Some(field) = fields.next_key::<String>()? {
            match field.as_str() {
                "apiVersion" => api_version = fields.next_value()?,
                "kind" => kind = fields.next_value()?,
                "metadata" => metadata = Some(fields.next_value::<Metadata>()?),
                _ => match self.0.of(&field) {
                    Extent::Nothing => drop(fields.next_value::<IgnoredAny>()?),
                    Extent::All => drop(data.insert(field, fields.next_value()?)),
                    Extent::Pieces => drop(data.insert(field, pieces::read(&fields.next_value::<Box<RawValue>>()?))),
                    Extent::Below(names) => drop(data.insert(field, fields.next_value_seed(Below(names))?)),
                },
            }
        }
        let metadata = metadata.ok_or_else(|| A::Error::missing_field("metadata"))?;
        let types = api_version
            .zip(kind)
            .map(|(api_version, kind)| TypeMeta { api_version, kind });
        Ok(DynamicObject {
            types,
            metadata: metadata.into(),
            data: Value::Object(data),
        })
    }
}

/// Keeps the named fields of a map.
struct Below(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Below {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Below {
    type Value = Value;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("fields by name")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(field) = fields.next_key::<String>()? {
            if self.0.contains(&field.as_str()) {
                kept.insert(field, fields.next_value()?);
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Value::Object(kept))
    }
}

struct EventVisitor(Seed);

impl<'de> Visitor<'de> for EventVisitor {
    type Value = (String, DynamicObject);

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an event of a watch")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let (mut kind, mut object) = (None, None);
        while let Some(field) = fields.next_key::<String>()? {
            match field.as_str() {
                "type" => kind = Some(fields.next_value()?),
                "object" => object = Some(fields.next_value_seed(Seed(self.0.0))?),
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        kind.zip(object).ok_or_else(|| A::Error::missing_field("object"))
    }
}

/// Metadata, of whose `managedFields` nothing is demanded.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    generate_name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    deletion_grace_period_seconds: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    finalizers: Option<Vec<String>>,
    owner_references: Option<Vec<OwnerReference>>,
    managed_fields: Option<Vec<Manager>>,
}

impl From<Metadata> for ObjectMeta {
    fn from(read: Metadata) -> Self {
        Self {
            name: read.name,
            generate_name: read.generate_name,
            namespace: read.namespace,
            uid: read.uid,
            resource_version: read.resource_version,
            generation: read.generation,
            creation_timestamp: read.creation_timestamp,
            deletion_timestamp: read.deletion_timestamp,
            deletion_grace_period_seconds: read.deletion_grace_period_seconds,
            labels: read.labels,
            annotations: read.annotations,
            finalizers: read.finalizers,
            owner_references: read.owner_references,
            managed_fields: read
                .managed_fields
                .map(|entries| entries.into_iter().map(Into::into).collect()),
            ..Self::default()
        }
    }
}

/// Who changed an object, and when. Patches count these entries, so none is left out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manager {
    #[serde(rename = "manager")]
    name: Option<String>,
    operation: Option<String>,
    subresource: Option<String>,
    time: Option<String>,
    #[serde(default, rename = "fieldsV1")]
    owns_pause: OwnsPause,
}

impl From<Manager> for ManagedFieldsEntry {
    fn from(read: Manager) -> Self {
        Self {
            manager: read.name,
            operation: read.operation,
            subresource: read.subresource,
            // One that no clock can show tells nothing.
            time: read.time.and_then(|time| time.parse().ok()).map(Time),
            fields_v1: read.owns_pause.0.then(|| FieldsV1(json!({"f:spec": {"f:paused": {}}}))),
            ..Self::default()
        }
    }
}

/// Of the fields that somebody owns only `spec.paused` is asked for. How deep the others are nested does not matter.
#[derive(Default)]
struct OwnsPause(bool);

impl<'de> Deserialize<'de> for OwnsPause {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Owned(&["f:spec", "f:paused"])).map(Self)
    }
}

/// Whether a path stands in a set of fields.
struct Owned(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Owned {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Owned {
    type Value = bool;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a set of fields")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<bool, A::Error> {
        let mut owned = false;
        while let Some(field) = fields.next_key::<Cow<'_, str>>()? {
            match self.0.split_first() {
                Some((first, [])) if *first == field => {
                    fields.next_value::<IgnoredAny>()?;
                    owned = true;
                }
                Some((first, rest)) if *first == field => owned |= fields.next_value_seed(Owned(rest))?,
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(owned)
    }
}

#[cfg(test)]
pub(super) mod tests;
