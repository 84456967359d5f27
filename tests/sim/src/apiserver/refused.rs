//! Writes that the API server refuses for a while, as it does for rights that are missing, policies, webhooks and quotas.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{kinds::Kind, refusal::Refusal, request::Asked};
use crate::{
    witness::past::{Part, Trouble},
    world::text,
};

/// Which writes are refused, for how long and how.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refuse {
    /// Objects of this kind, such as `HTTPRoute`; with `/status` their status alone, such as `CanaryRollout/status`.
    pub kind: String,
    /// Only the one of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For so many seconds.
    #[serde(rename = "for")]
    pub length: f64,
    /// HTTP code of the answer: 403 for missing rights, 422 for validation or a policy, 400 or 500 for a webhook.
    #[serde(default = "forbidden")]
    pub code: u16,
    /// Seconds until the answer comes, as with a webhook that hangs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<f64>,
}

fn forbidden() -> u16 {
    403
}

/// Writes that are refused until a moment.
#[derive(Clone, Debug)]
pub struct Refused {
    kind: Kind,
    status_only: bool,
    until: Instant,
    how: Refuse,
}

impl Refuse {
    /// From now on; an error names a kind that is not known.
    pub fn begin(&self, now: Instant) -> anyhow::Result<Refused> {
        let (kind, status_only) = match self.kind.split_once('/') {
            None => (self.kind.as_str(), false),
            Some((kind, "status")) => (kind, true),
            Some((_, other)) => anyhow::bail!("there is no part {other} of an object: only status"),
        };
        let kind = Kind::ALL.into_iter().find(|known| known.traits().kind == kind);
        Ok(Refused {
            kind: kind.ok_or_else(|| anyhow::anyhow!("there is no kind {}", self.kind))?,
            status_only,
            until: now + Duration::from_secs_f64(self.length),
            how: self.clone(),
        })
    }
}

impl Refused {
    /// What stands in the controller's way.
    pub fn trouble(&self) -> Trouble {
        let part = if self.status_only { Part::Status } else { Part::Whole };
        Trouble::Refused(self.kind, part)
    }

    /// The refusal of this request, if it is refused, and after which time it comes.
    pub fn refuses(&self, asked: &Asked, body: &[u8], now: Instant) -> Option<(Refusal, Duration)> {
        let of_kind = asked.writes() && asked.kind == self.kind && (asked.status || !self.status_only);
        let meant = of_kind && self.how.name.as_ref().is_none_or(|name| named(asked, body) == *name);
        let after = Duration::from_secs_f64(self.how.after.unwrap_or_default());
        (meant && now < self.until).then(|| (self.refusal(asked), after))
    }

    fn refusal(&self, asked: &Asked) -> Refusal {
        let what = format!("{} \"{}\"", asked.kind.traits().plural, asked.name);
        match self.how.code {
            400 => Refusal::bad_request("admission webhook \"guard.example\" denied the request: simulated refusal"),
            403 => Refusal::forbidden(&format!(
                "{what} is forbidden: User \"system:serviceaccount:warmfront:warmfront\" cannot write it: simulated refusal"
            )),
            422 => Refusal::invalid("spec", &format!("{what} is invalid: simulated refusal")),
            code => Refusal::trouble(code),
        }
    }
}

/// Name of the object; of a new one it stands in the body.
fn named(asked: &Asked, body: &[u8]) -> String {
    if !asked.name.is_empty() {
        return asked.name.clone();
    }
    let object: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    text(&object, "/metadata/name").to_owned()
}
