//! One route: what it says about our two Services, and whether the data plane serves it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Known, Namespace};
use crate::{
    api::{FIELD_MANAGER, traffic::RouteKind},
    engine::contract::observed::{Route, RouteSeen},
    kubernetes::{
        json::integer,
        managed_fields::{newest_other_manager, written_at},
    },
    router::{Acceptance, RouteId, Target, gateway_api},
};

impl From<RouteKind> for Known {
    fn from(kind: RouteKind) -> Self {
        match kind {
            RouteKind::Http => Self::HttpRoute,
            RouteKind::Grpc => Self::GrpcRoute,
        }
    }
}

/// Looks at the route of this name, in which `target` is split.
pub(super) fn look_at(namespace: Namespace<'_>, target: Target, id: &RouteId) -> RouteSeen {
    let kind = Known::from(id.kind);
    if !namespace.objects.is_installed(kind) {
        return RouteSeen::NotInstalled;
    }
    let Some(mut live) = namespace.standing(kind, &id.name) else {
        return RouteSeen::Missing;
    };
    let state = match gateway_api::read(&live, &target) {
        Ok(state) => state,
        Err(error) => return RouteSeen::Unusable(error),
    };
    let acceptance = acceptance(namespace, &live);
    // Read above; kept it would only take room.
    live.as_object_mut().and_then(|object| object.remove("status"));
    RouteSeen::Found(Box::new(Route {
        generation: integer(&live, "/metadata/generation"),
        acceptance,
        written_at: written_at(&live, FIELD_MANAGER),
        other_manager: newest_other_manager(&live, FIELD_MANAGER),
        target,
        state,
        live: live.to_string().into(),
    }))
}

/// What the Gateways report that the route has as its parents; their classes tell who speaks for them.
fn acceptance(namespace: Namespace<'_>, live: &Value) -> Acceptance {
    let (mut gateways, mut classes) = (BTreeMap::new(), BTreeMap::new());
    for (namespace_of_gateway, name) in gateway_api::gateways(live) {
        let objects = namespace.objects;
        let Some(gateway) = objects.get(Known::Gateway, &namespace_of_gateway, &name) else {
            continue;
        };
        if let Some(class) = gateway.pointer("/spec/gatewayClassName").and_then(Value::as_str) {
            let found = objects.get(Known::GatewayClass, "", class);
            classes.extend(found.map(|found| (class.to_owned(), found)));
        }
        gateways.insert(format!("{namespace_of_gateway}/{name}"), gateway);
    }
    gateway_api::acceptance(live, &gateways, &classes)
}
