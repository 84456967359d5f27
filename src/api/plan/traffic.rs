//! The routes and testers of a plan: none stands there twice.

use super::{ALL_RULES, InvalidSpec};
use crate::api::traffic::{RouteRef, Tester};

pub(super) fn routes(routes: &[RouteRef]) -> Result<Vec<RouteRef>, InvalidSpec> {
    for (index, route) in routes.iter().enumerate() {
        let field = format!("spec.traffic.gatewayAPI.routes[{index}]");
        if routes[..index]
            .iter()
            .any(|other| other.kind == route.kind && other.name == route.name)
        {
            return Err(InvalidSpec(format!(
                "{field}: {} {} is named already: list all its rules there",
                route.kind, route.name
            )));
        }
        if route.rules.len() > 1 && route.rules.iter().any(|rule| rule == ALL_RULES) {
            return Err(InvalidSpec(format!(
                "{field}.rules: `*` stands for all rules: name no others beside it"
            )));
        }
    }
    Ok(routes.to_vec())
}

pub(super) fn testers(testers: &[Tester]) -> Result<Vec<Tester>, InvalidSpec> {
    for (index, tester) in testers.iter().enumerate() {
        if testers[..index]
            .iter()
            .any(|other| other.header.eq_ignore_ascii_case(&tester.header))
        {
            return Err(InvalidSpec(format!(
                "spec.traffic.testers[{index}]: header {} is named already: each tester needs one of its own",
                tester.header
            )));
        }
    }
    Ok(testers.to_vec())
}
