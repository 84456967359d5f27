//! To which addresses requests to a Service go, as the API server tells: only to pods that it selects.
//!
//! A Service of type ExternalName, or one without a selector, leads wherever its owner writes: to other tenants, to the API server.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::{
    core::v1::{Service, ServicePort},
    discovery::v1::EndpointSlice,
};

use super::{address::Policy, failure::Failure};

/// Label of an EndpointSlice: who writes it.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Kubernetes itself, for Services that select pods.
const KUBERNETES: &str = "endpointslice-controller.k8s.io";

/// Addresses of this port of a Service, of which these are the EndpointSlices, or why none may be connected to.
pub fn addresses(
    policy: &Policy,
    service: &Service,
    slices: &[EndpointSlice],
    port: u16,
) -> Result<Vec<SocketAddr>, Failure> {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let refused = |hidden: &'static str| Failure::in_full(hidden, format!("Service {name}: {hidden}"));
    let spec = service.spec.clone().unwrap_or_default();
    if spec.type_.as_deref() == Some("ExternalName") {
        return Err(refused(
            "it is of type ExternalName and may lead anywhere: name its host itself, which the platform's owner can add to the chart's webhooks.allowedHosts",
        ));
    }
    if spec.selector.is_none_or(|selector| selector.is_empty()) {
        return Err(refused(
            "it has no selector, so its addresses may be anybody's: let it select pods, or let the platform's owner add the host to the chart's webhooks.allowedHosts",
        ));
    }
    let mut ports = spec.ports.iter().flatten();
    let Some(port) =
        ports.find(|known| known.port == i32::from(port) && known.protocol.as_deref().unwrap_or("TCP") == "TCP")
    else {
        return Err(refused("it has no such port: the URL must name one of spec.ports"));
    };
    if slices.iter().any(|slice| !is_of_kubernetes(slice)) {
        return Err(refused(
            "it has an EndpointSlice that Kubernetes did not make, so its addresses may be anybody's",
        ));
    }
    let ready = ready(slices, port);
    if let Some(why) = ready.iter().find_map(|pod| policy.forbidden(pod.ip())) {
        return Err(Failure::in_full(why, format!("Service {name} leads to {why}")));
    }
    if ready.is_empty() {
        return Err(refused("no pod behind it is ready"));
    }
    let own = spec
        .cluster_ips
        .unwrap_or_else(|| spec.cluster_ip.into_iter().collect());
    let own: Vec<IpAddr> = own.iter().filter_map(|address| address.parse().ok()).collect();
    if let Some(why) = own.iter().find_map(|address| policy.forbidden(*address)) {
        return Err(Failure::in_full(why, format!("Service {name} is {why}")));
    }
    if own.is_empty() {
        // Headless.
        return Ok(ready);
    }
    let number = u16::try_from(port.port).unwrap_or_default();
    Ok(own
        .into_iter()
        .map(|address| SocketAddr::new(address, number))
        .collect())
}

fn is_of_kubernetes(slice: &EndpointSlice) -> bool {
    let labels = slice.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(MANAGED_BY))
        .is_some_and(|by| by == KUBERNETES)
}

/// Addresses of the pods that are ready, with the number that this port has there.
fn ready(slices: &[EndpointSlice], port: &ServicePort) -> Vec<SocketAddr> {
    let name = port.name.as_deref().unwrap_or_default();
    let of_slice = |slice: &EndpointSlice| {
        let mut ports = slice.ports.iter().flatten();
        let known = ports.find(|known| known.name.as_deref().unwrap_or_default() == name)?;
        let number = u16::try_from(known.port?).ok()?;
        let endpoints = slice.endpoints.iter().filter(|endpoint| {
            endpoint
                .conditions
                .as_ref()
                .and_then(|conditions| conditions.ready)
                .unwrap_or(true)
        });
        let addresses = endpoints.flat_map(|endpoint| &endpoint.addresses);
        let parsed = addresses.filter_map(|address| address.parse().ok());
        Some(
            parsed
                .map(|address| SocketAddr::new(address, number))
                .collect::<Vec<_>>(),
        )
    };
    slices.iter().filter_map(of_slice).flatten().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(spec: &Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "gate"}, "spec": spec})).unwrap()
    }

    fn slice(by: &str, endpoints: &Value) -> EndpointSlice {
        let labels = json!({"kubernetes.io/service-name": "gate", MANAGED_BY: by});
        let ports = json!([{"name": "metrics", "port": 9090}, {"name": "http", "port": 8080}]);
        serde_json::from_value(
            json!({"metadata": {"labels": labels}, "addressType": "IPv4", "ports": ports, "endpoints": endpoints}),
        )
        .unwrap()
    }

    fn policy() -> Policy {
        Policy {
            api_server: vec![[10, 0, 0, 2].into(), [10, 96, 0, 1].into()],
            ..Policy::default()
        }
    }

    /// The addresses, or why there are none.
    fn found(spec: &Value, slices: &[EndpointSlice], port: u16) -> Result<Vec<String>, String> {
        let found = addresses(&policy(), &service(spec), slices, port);
        let text = |found: Vec<SocketAddr>| found.iter().map(ToString::to_string).collect();
        found.map(text).map_err(|failure| {
            assert!(!failure.hidden().contains("gate"), "{}", failure.hidden());
            failure.full()
        })
    }

    fn ready(address: &str, ready: bool) -> Value {
        json!({"addresses": [address], "conditions": {"ready": ready}})
    }

    /// Of three pods two are ready.
    fn pods() -> Vec<EndpointSlice> {
        let third = json!({"addresses": ["10.1.0.3"]});
        vec![slice(
            KUBERNETES,
            &json!([ready("10.1.0.1", true), ready("10.1.0.2", false), third]),
        )]
    }

    /// A spec with these fields and two ports.
    fn spec(fields: &Value) -> Value {
        let mut spec = fields.clone();
        spec["ports"] =
            json!([{"name": "http", "port": 80, "targetPort": "http"}, {"name": "dns", "port": 53, "protocol": "UDP"}]);
        spec
    }

    fn usual() -> Value {
        spec(&json!({"selector": {"app": "gate"}, "clusterIP": "10.96.7.7", "clusterIPs": ["10.96.7.7", "fd00::7"]}))
    }

    fn headless() -> Value {
        spec(&json!({"selector": {"app": "gate"}, "clusterIP": "None", "clusterIPs": ["None"]}))
    }

    #[test]
    fn a_service_that_selects_pods_leads_to_its_own_address_or_to_those_that_are_ready() {
        let own = ["10.96.7.7:80".to_owned(), "[fd00::7]:80".to_owned()];
        assert_eq!(found(&usual(), &pods(), 80).as_deref(), Ok(&own[..]));
        let both = ["10.1.0.1:8080".to_owned(), "10.1.0.3:8080".to_owned()];
        assert_eq!(found(&headless(), &pods(), 80).as_deref(), Ok(&both[..]));
    }

    #[test]
    fn a_service_that_may_lead_elsewhere_is_refused() {
        let selector = json!({"app": "gate"});
        for (fields, why) in [
            (json!({"clusterIP": "10.96.7.7"}), "it has no selector"),
            (json!({"selector": {}, "clusterIP": "None"}), "it has no selector"),
            (
                json!({"type": "ExternalName", "externalName": "grafana.bank.svc", "selector": selector}),
                "of type ExternalName",
            ),
            (
                json!({"selector": selector, "clusterIP": "10.96.0.1"}),
                "Service gate is the API server",
            ),
        ] {
            let refused = found(&spec(&fields), &pods(), 80).expect_err(why);
            assert!(refused.contains(why), "{refused}");
        }
        let of = |by: &str, address: &str| vec![slice(by, &json!([ready(address, true)]))];
        for (spec, slices, why) in [
            (usual(), of("by-hand", "10.1.0.9"), "Kubernetes did not make"),
            (
                headless(),
                of("endpointslicemirroring-controller.k8s.io", "10.1.0.9"),
                "Kubernetes did not make",
            ),
            (
                usual(),
                of(KUBERNETES, "10.0.0.2"),
                "Service gate leads to the API server",
            ),
            (
                headless(),
                of(KUBERNETES, "169.254.169.254"),
                "Service gate leads to a link-local address",
            ),
        ] {
            let refused = found(&spec, &slices, 80).expect_err(why);
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn a_port_that_it_lacks_and_pods_that_are_not_ready_are_told() {
        for port in [8080, 53] {
            assert!(found(&usual(), &pods(), port).is_err_and(|why| why.contains("no such port")));
        }
        let waiting = [slice(KUBERNETES, &json!([ready("10.1.0.1", false)]))];
        for slices in [&waiting[..], &[]] {
            assert!(found(&usual(), slices, 80).is_err_and(|why| why.contains("no pod behind it is ready")));
        }
    }
}
