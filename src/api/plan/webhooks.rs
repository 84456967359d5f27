//! The gates and notifiers of a plan.

use super::{Address, InvalidSpec, PlannedGate, PlannedNotifier, PlannedWebhook};
use crate::api::{
    Duration,
    webhook::{CaFrom, ConfigMapKey, Gate, Notifier, SecretKey, SigningKeyFrom},
};

const DEFAULT_GATE_DEADLINE: Duration = Duration::from_mins(60);
const DEFAULT_WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn gates(gates: &[Gate]) -> Result<Vec<PlannedGate>, InvalidSpec> {
    let mut planned: Vec<PlannedGate> = Vec::with_capacity(gates.len());
    for (index, gate) in gates.iter().enumerate() {
        let name = gate
            .name
            .clone()
            .unwrap_or_else(|| gate.before.to_string().to_lowercase());
        if planned.iter().any(|other| other.name == name) {
            return Err(InvalidSpec(format!(
                "spec.gates[{index}]: a gate named {name} stands above already: give this one another name"
            )));
        }
        planned.push(PlannedGate {
            name,
            before: gate.before,
            webhook: PlannedWebhook {
                address: Address::Url(gate.webhook.url.clone()),
                timeout: gate.webhook.timeout.unwrap_or(DEFAULT_WEBHOOK_TIMEOUT),
                signing_key: signing_key(gate.webhook.signing_key_from.as_ref()),
                authorities: authorities(gate.webhook.ca_from.as_ref()),
            },
            deadline: gate.deadline.unwrap_or(DEFAULT_GATE_DEADLINE),
        });
    }
    Ok(planned)
}

pub(super) fn notifier(notifier: &Notifier) -> Result<PlannedNotifier, InvalidSpec> {
    let webhook = &notifier.webhook;
    let address = match (&webhook.url, &webhook.url_from) {
        (Some(url), None) => Address::Url(url.clone()),
        (None, Some(from)) => Address::Secret(from.secret_key_ref.clone()),
        _ => {
            return Err(InvalidSpec(format!(
                "spec.notify: {}: name exactly one of url and urlFrom",
                notifier.name
            )));
        }
    };
    Ok(PlannedNotifier {
        name: notifier.name.clone(),
        webhook: PlannedWebhook {
            address,
            timeout: webhook.timeout.unwrap_or(DEFAULT_WEBHOOK_TIMEOUT),
            signing_key: signing_key(webhook.signing_key_from.as_ref()),
            authorities: authorities(webhook.ca_from.as_ref()),
        },
    })
}

fn signing_key(from: Option<&SigningKeyFrom>) -> Option<SecretKey> {
    from.map(|from| from.secret_key_ref.clone())
}

fn authorities(from: Option<&CaFrom>) -> Option<ConfigMapKey> {
    from.map(|from| from.config_map_key_ref.clone())
}
