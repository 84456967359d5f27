//! The policy by which the API server holds changed templates, as far as the objects tell.

use serde_json::Value;

use super::{Known, Objects};
use crate::{
    engine::contract::observed::Policy,
    kubernetes::json::{integer, text},
};

/// Name of policy and binding, as the chart installs them.
pub const NAME: &str = "warmfront-hold";
/// Kind of the policy.
pub const POLICY: &str = "MutatingAdmissionPolicy";
/// Kind of its binding.
pub const BINDING: &str = "MutatingAdmissionPolicyBinding";

/// Whether policy and binding stand, and in which version.
pub(super) fn look_at(objects: &dyn Objects) -> Policy {
    let served = [
        (Known::HoldPolicy, Known::HoldBinding),
        (Known::HoldPolicyBeta, Known::HoldBindingBeta),
    ];
    let served = served
        .iter()
        .find(|(policy, binding)| objects.is_installed(*policy) && objects.is_installed(*binding));
    let Some((policy, binding)) = served else {
        return Policy::Absent(format!(
            "this API server has no kind {POLICY}, or had none when the controller started (Kubernetes has it from 1.36 on, 1.34 and 1.35 with a feature gate)"
        ));
    };
    let version = |known: Known| Some(version_of(&objects.get(known, "", NAME)?));
    match (version(*policy), version(*binding)) {
        (Some(policy), Some(binding)) => Policy::Standing(format!("{policy} {binding}")),
        (None, _) => Policy::Absent(absent(POLICY)),
        (Some(_), None) => Policy::Absent(absent(BINDING)),
    }
}

fn absent(kind: &str) -> String {
    format!("{kind} {NAME} does not exist: the chart installs it with hold: Auto")
}

/// What the API server says about the object is not counted.
fn version_of(object: &Value) -> String {
    format!(
        "{}/{}",
        text(object, "/metadata/uid"),
        integer(object, "/metadata/generation")
    )
}
