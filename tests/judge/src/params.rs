//! What happens in a run, how often it is run, and what must hold.

use serde::{Deserialize, Serialize};
pub use warmfront::simulate::world::params::{Incident, Params, Placement, Start};

/// A scenario: what happens, how often it is run, and what must hold.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// As it stands in the table.
    pub name: String,
    /// What happens.
    #[serde(default)]
    pub params: Params,
    /// How many releases; without it, as many as the command says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<u32>,
    /// Where chance begins; without it, as the command says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What must hold, as `promoted >= 0.99`; names are those of [`crate::measure::Measured::value`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_parameter_is_an_error() {
        let scenario = |text| serde_json::from_str::<Scenario>(text);
        assert!(scenario(r#"{"name": "a", "params": {"L": 20, "err": 0.1}}"#).is_ok());
        assert!(scenario(r#"{"name": "a", "params": {"l": 20}}"#).is_err());
        assert!(scenario(r#"{"name": "a", "params": {"incident": {"error": 0.2}}}"#).is_err());
        assert!(scenario(r#"{"name": "a", "parameters": {}}"#).is_err());
    }
}
