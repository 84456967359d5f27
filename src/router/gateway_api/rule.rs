//! One rule of a route: its backends, their weights, and how they were found.

use json_patch::{PatchOperation, jsonptr::PointerBuf};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    super::{RuleState, Theirs},
    Percent, RouteOriginal, RuleOriginal, weights,
};
use crate::{
    api::status::BackendWeight,
    kubernetes::patch::{at, test},
};

/// One rule of a route.
#[derive(Clone)]
pub(super) struct Rule<'a> {
    /// Its index in the route.
    pub index: usize,
    /// The rule as it is now.
    pub value: &'a Value,
    /// Its name; if it has none, its number, counted from 1. For messages.
    pub name: String,
    /// Its key in the status: its name; if it has none, its matches as text.
    pub key: String,
    /// Its backends.
    pub backends: &'a [Value],
    /// Index of the old version's entry in `backends`.
    pub stable: Option<usize>,
    /// Indices of the canary's entries in `backends`. We add one; there are more only if somebody else has added them.
    pub canary: Vec<usize>,
    /// Whether its weights are set.
    pub routed: bool,
    /// Whether it is as before our first change: without an entry of the canary, or with the user's own entry and weights that add up as before.
    pub as_found: bool,
}

pub(super) fn name_of(rule: &Value) -> Option<&str> {
    rule.get("name").and_then(Value::as_str).filter(|name| !name.is_empty())
}

pub(super) fn backends_of(rule: &Value) -> &[Value] {
    rule.get("backendRefs")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The matches of a rule; empty if it matches every request.
pub(super) fn matches_of(rule: &Value) -> &[Value] {
    rule.get("matches").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The matches of a rule as text. Different matches give different texts: a long text is cut and gets a digest.
pub(super) fn matches_key(rule: &Value) -> String {
    /// How many characters of a long text are kept.
    const SHOWN: usize = 80;
    let text = rule
        .get("matches")
        .map_or_else(|| "every request".to_owned(), Value::to_string);
    let Some((cut, _)) = text.char_indices().nth(SHOWN) else {
        return text;
    };
    let digest = Sha256::digest(text.as_bytes());
    let [a, b, c, d, ..] = *digest else { return text };
    format!("{}… {:08x}", &text[..cut], u32::from_be_bytes([a, b, c, d]))
}

impl Rule<'_> {
    /// Its weights before our first change. If `only` one rule concerns us, they are found although the user has changed its name or matches.
    pub fn original_in<'o>(&self, originals: &'o RouteOriginal, only: bool) -> Option<&'o RuleOriginal> {
        originals.of(&self.key, only)
    }

    /// Whether its weights are still ours although another hand has taken the canary's entry out.
    pub fn left_behind(&self, known: &RuleOriginal) -> bool {
        self.canary.is_empty() && weights::left_behind(known, &self.original(true))
    }

    /// Computes `as_found`: our first change scales the rule, so the weights of both versions add up to the same only before it.
    pub fn stands_as_found(&self, theirs: Option<&Theirs>, only: bool) -> bool {
        let (Some((stable, canary)), Some(theirs)) = (self.parts(), theirs) else {
            return self.canary.is_empty();
        };
        let Some(original) = self.original_in(&theirs.found, only) else {
            return true;
        };
        let keys = self.backend_keys();
        let known = |place: &usize| {
            original
                .backends
                .iter()
                .find(|known| known.backend == keys[*place])
                .map_or(0, |known| known.weight.unwrap_or(1).max(0))
        };
        let found: i64 = self
            .stable
            .iter()
            .chain(&self.canary)
            .map(known)
            .fold(0, i64::saturating_add);
        stable.saturating_add(canary) == found
    }

    /// Weight of a backend, by its index; `None` if it is left out.
    pub fn weight(&self, place: usize) -> Option<i64> {
        self.backends[place].get("weight").and_then(Value::as_i64)
    }

    /// The weight that the gateway uses: 1 if it is left out, never below 0.
    pub fn effective(&self, place: usize) -> i64 {
        self.weight(place).unwrap_or(1).max(0)
    }

    /// Weights of the old version and of all the canary's entries, if it has one.
    pub fn parts(&self) -> Option<(i64, i64)> {
        let canary = self
            .canary
            .iter()
            .fold(0_i64, |sum, place| sum.saturating_add(self.effective(*place)));
        (!self.canary.is_empty()).then(|| (self.stable.map_or(0, |place| self.effective(place)), canary))
    }

    /// The canary's share of what both versions get, if it has an entry.
    pub fn share(&self) -> Option<Percent> {
        self.parts().map(|(stable, canary)| weights::share(stable, canary))
    }

    /// Whether the old version is the only backend beside the canary.
    pub fn alone(&self) -> bool {
        self.stable.is_some() && self.backends.len() - self.canary.len() == 1
    }

    /// Whether the user wants sessions to stay on their backend (`sessionPersistence`).
    pub fn keeps_sessions(&self) -> bool {
        self.value
            .get("sessionPersistence")
            .is_some_and(|field| !field.is_null())
    }

    /// What the engine is told about it.
    pub fn state(&self) -> RuleState {
        let beside_others = self.stable.filter(|_| !self.alone() && self.as_found).map(|place| {
            self.parts()
                .map_or(self.effective(place), |(stable, canary)| stable.saturating_add(canary))
        });
        let sum = (0..self.backends.len()).fold(0_i64, |sum, place| sum.saturating_add(self.effective(place)));
        RuleState {
            name: self.name.clone(),
            routed: self.routed,
            parts: self.parts(),
            sum,
            beside_others,
        }
    }

    /// Keys of its backends in the status, all different: `namespace/name:port`, and a number if one is there twice.
    pub fn backend_keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = Vec::with_capacity(self.backends.len());
        for backend in self.backends {
            let text = |key: &str| backend.get(key).and_then(Value::as_str).unwrap_or_default();
            let kind = if matches!(text("kind"), "" | "Service") {
                String::new()
            } else {
                format!("{}/", text("kind"))
            };
            let port = backend
                .get("port")
                .and_then(Value::as_u64)
                .map(|port| format!(":{port}"))
                .unwrap_or_default();
            let key = format!("{kind}{}/{}{port}", text("namespace"), text("name"));
            let before = keys
                .iter()
                .filter(|known| {
                    known
                        .strip_prefix(&key)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with(" ("))
                })
                .count();
            keys.push(if before == 0 {
                key
            } else {
                format!("{key} ({})", before + 1)
            });
        }
        keys
    }

    /// Its weights as they are now, to be put back later. The canary's is among them if its entry may be the user's (`theirs`).
    pub fn original(&self, theirs: bool) -> RuleOriginal {
        let backends = self
            .backend_keys()
            .into_iter()
            .enumerate()
            .filter(|(place, _)| theirs || !self.canary.contains(place));
        let backends = backends
            .map(|(place, backend)| BackendWeight {
                backend,
                weight: self.weight(place),
            })
            .collect();
        RuleOriginal {
            rule: self.key.clone(),
            backends,
        }
    }

    /// Path of a backend, by its index.
    pub fn path(&self, place: usize) -> PointerBuf {
        at!["spec", "rules", self.index, "backendRefs", place]
    }

    /// A test that makes the API server refuse the patch if another rule is at this index meanwhile. `None` if the rule has neither name nor matches.
    pub fn guard(&self) -> Option<PatchOperation> {
        let field = if name_of(self.value).is_some() {
            "name"
        } else {
            "matches"
        };
        let value = self.value.get(field)?.clone();
        Some(test(at!["spec", "rules", self.index, field], value))
    }
}
