//! From a call to a POST: its address, the keys and certificates that it needs, and who is connected to.
//!
//! All of it is asked of the API server, by name and when it is needed: it may change from one attempt to the next.

use std::{net::IpAddr, time::Duration};

use k8s_openapi::{
    ByteString,
    api::{
        core::v1::{ConfigMap, Secret, Service},
        discovery::v1::EndpointSlice,
    },
};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, ListParams},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    super::{
        decode::Answer,
        error::{is_outage, said},
    },
    Rules,
};
use crate::{
    api::{
        plan::Address,
        webhook::{ConfigMapKey, SecretKey},
    },
    engine::contract::call::Call,
    look::keys::SERVICE_NAME,
    webhook::{
        Post, To,
        address::{By, Destination, Policy},
        failure::Failure,
        service,
    },
};

/// Where the API server is a Service itself.
const API_SERVER: (&str, &str) = ("default", "kubernetes");

/// What is sent for this call of a rollout in `namespace`.
pub(super) async fn prepare(client: &Client, rules: &Rules, namespace: &str, call: &Call) -> Result<Post, Failure> {
    let (webhook, policy) = (&call.webhook, &rules.policy);
    let url = match &webhook.address {
        Address::Url(url) => url.clone(),
        Address::Secret(entry) => url_in(entry, of_secret(client, namespace, entry).await?)?,
    };
    let Destination { url, by } = policy.destination(namespace, &url)?;
    let policy = with_endpoints(client, policy).await?;
    let port = url.port_or_known_default().unwrap_or_default();
    let to = match by {
        By::Name(trust) => To::Name(policy, trust),
        By::Address(address) => {
            if let Some(why) = policy.forbidden(address) {
                return Err(Failure::in_full(why, format!("{address} is {why}")));
            }
            To::Addresses(vec![(address, port).into()])
        }
        By::Service { namespace, name } => {
            let (found, slices) = service_of(client, &namespace, &name).await?;
            To::Addresses(service::addresses(&policy, &found, &slices, port)?)
        }
    };
    let signing_key = match &webhook.signing_key {
        Some(entry) => Some(of_secret(client, namespace, entry).await?),
        None => None,
    };
    let authorities = match &webhook.authorities {
        Some(entry) => Some(of_config_map(client, namespace, entry).await?),
        None => None,
    };
    Ok(Post {
        namespace: namespace.to_owned(),
        url,
        to,
        timeout: webhook.timeout.min(rules.longest),
        key: call.key.clone(),
        body: call.body.clone(),
        signing_key,
        authorities,
    })
}

/// The policy, and what stands behind the API server's Service: what is known from the start may have moved.
async fn with_endpoints(client: &Client, policy: &Policy) -> Result<Policy, Failure> {
    let (namespace, name) = API_SERVER;
    let slices = slices_of(client, namespace, name).await?;
    let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
    let addresses = endpoints.flat_map(|endpoint| &endpoint.addresses);
    let mut policy = policy.clone();
    policy
        .api_server
        .extend(addresses.filter_map(|address| address.parse::<IpAddr>().ok()));
    Ok(policy)
}

/// Pause before the API server is asked once more.
const ASKED_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// What the API server answers; one that fails is asked once more, so that a moment of it does not look like a gate that is down.
async fn answered<T, F: Future<Output = kube::Result<T>>>(ask: impl Fn() -> F) -> kube::Result<T> {
    match ask().await {
        Err(error) if is_outage(&error) => {
            tokio::time::sleep(ASKED_AGAIN_AFTER).await;
            ask().await
        }
        answer => answer,
    }
}

/// Objects of kube's type `K`, read leniently: what that type cannot read kube would log as it stands.
fn api<K: Resource<DynamicType = ()>>(client: &Client, namespace: &str) -> Api<Answer> {
    Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<K>(&()))
}

/// The same object as type `K`, of whose metadata only name and labels are known.
fn typed<K: DeserializeOwned>(Answer(object): Answer) -> serde_json::Result<K> {
    let DynamicObject { metadata, mut data, .. } = object;
    data["metadata"] = json!({"name": metadata.name, "labels": metadata.labels});
    serde_json::from_value(data)
}

async fn service_of(client: &Client, namespace: &str, name: &str) -> Result<(Service, Vec<EndpointSlice>), Failure> {
    let unread = |error: &dyn std::fmt::Display| {
        Failure::in_full(
            "its Service could not be read",
            format!("Service {name} could not be read: {error}"),
        )
    };
    let services = api::<Service>(client, namespace);
    let found = answered(|| services.get_opt(name)).await;
    let Some(found) = found.map_err(|error| unread(&said(&error)))? else {
        return Err(Failure::in_full(
            "its Service does not exist",
            format!("Service {name} does not exist in namespace {namespace}"),
        ));
    };
    let service = typed(found).map_err(|error| unread(&error))?;
    Ok((service, slices_of(client, namespace, name).await?))
}

async fn slices_of(client: &Client, namespace: &str, service: &str) -> Result<Vec<EndpointSlice>, Failure> {
    let unread = |error: &dyn std::fmt::Display| {
        Failure::in_full(
            "the EndpointSlices of its Service could not be read",
            format!("the EndpointSlices of Service {namespace}/{service} could not be read: {error}"),
        )
    };
    let of_service = ListParams::default().labels(&format!("{SERVICE_NAME}={service}"));
    let slices = api::<EndpointSlice>(client, namespace);
    let found = answered(|| slices.list(&of_service)).await;
    let found = found.map_err(|error| unread(&said(&error)))?.into_iter().map(typed);
    found.collect::<serde_json::Result<_>>().map_err(|error| unread(&error))
}

/// The URL in an entry of a Secret.
fn url_in(SecretKey { name, key }: &SecretKey, value: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(value)
        .map(|url| url.trim().to_owned())
        .map_err(|_| Failure::of_object(format!("key {key} of Secret {name} is not text")))
}

async fn of_secret(client: &Client, namespace: &str, SecretKey { name, key }: &SecretKey) -> Result<Vec<u8>, Failure> {
    let secrets = api::<Secret>(client, namespace);
    let found = answered(|| secrets.get(name)).await;
    let value = entry(
        found,
        "Secret",
        (name, key),
        "name it in webhooks.secrets of the chart's values",
    )?;
    let value = ByteString::deserialize(value);
    value
        .map(|value| value.0)
        .map_err(|_| Failure::of_object(format!("key {key} of Secret {name} is no base64")))
}

async fn of_config_map(
    client: &Client,
    namespace: &str,
    ConfigMapKey { name, key }: &ConfigMapKey,
) -> Result<Vec<u8>, Failure> {
    let config_maps = api::<ConfigMap>(client, namespace);
    let found = answered(|| config_maps.get(name)).await;
    let value = entry(found, "ConfigMap", (name, key), "it needs the right to get ConfigMaps")?;
    Ok(value.as_str().unwrap_or_default().as_bytes().to_vec())
}

/// An entry of what the API server answered, or what is to be done so that there is one.
fn entry(answer: kube::Result<Answer>, kind: &str, (name, key): (&str, &str), right: &str) -> Result<Value, Failure> {
    let why = match answer {
        Ok(Answer(mut found)) => match found.data.pointer_mut("/data").and_then(|data| data.get_mut(key)) {
            Some(value) => return Ok(value.take()),
            None => format!("{kind} {name} has no key {key}"),
        },
        Err(kube::Error::Api(status)) if status.is_not_found() => format!("{kind} {name} does not exist"),
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            format!("the controller may not read {kind} {name}: {right}")
        }
        Err(error) => format!("{kind} {name} could not be read: {}", said(&error)),
    };
    Err(Failure::of_object(why))
}
