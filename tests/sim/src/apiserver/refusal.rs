//! How the API server says no.

use serde_json::{Value, json};

/// A refused request.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// HTTP code.
    pub code: u16,
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
    /// Fields that validation refuses.
    pub causes: Vec<String>,
    /// The namespace is being deleted.
    pub terminating: bool,
}

fn refusal(code: u16, reason: &'static str, message: impl Into<String>) -> Refusal {
    Refusal {
        code,
        reason,
        message: message.into(),
        causes: Vec::new(),
        terminating: false,
    }
}

impl Refusal {
    /// The object does not exist.
    pub fn not_found(what: &str) -> Self {
        refusal(404, "NotFound", format!("{what} not found"))
    }
    /// The API server knows no such group: it says so without a `Status`.
    pub fn no_page() -> Self {
        refusal(404, "", "404 page not found")
    }
    /// The object was changed meanwhile.
    pub fn conflict(what: &str) -> Self {
        refusal(
            409,
            "Conflict",
            format!(
                "Operation cannot be fulfilled on {what}: the object has been modified; please apply your changes to the latest version"
            ),
        )
    }
    /// The name is taken.
    pub fn exists(what: &str) -> Self {
        refusal(409, "AlreadyExists", format!("{what} already exists"))
    }
    /// A JSON Patch that cannot be carried out, a failed `test` among them: 422 without causes.
    pub fn patch(why: &str) -> Self {
        refusal(
            422,
            "Invalid",
            format!("the server rejected our request due to an error in our request: {why}"),
        )
    }
    /// Validation refuses the object: 422 with causes.
    pub fn invalid(field: &str, why: &str) -> Self {
        Self {
            causes: vec![field.to_owned()],
            ..refusal(422, "Invalid", format!("{field}: {why}"))
        }
    }
    /// What was asked makes no sense.
    pub fn bad_request(why: &str) -> Self {
        refusal(400, "BadRequest", why)
    }
    /// May not be done.
    pub fn forbidden(why: &str) -> Self {
        refusal(403, "Forbidden", why)
    }
    /// The namespace takes no new objects any more.
    pub fn terminating(namespace: &str) -> Self {
        Self {
            terminating: true,
            ..Self::forbidden(&format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            ))
        }
    }
    /// The version to go on from is too old.
    pub fn gone() -> Self {
        refusal(410, "Expired", "too old resource version")
    }
    /// Trouble of the server's own.
    pub fn trouble(code: u16) -> Self {
        let reason = match code {
            409 => "Conflict",
            429 => "TooManyRequests",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "InternalError",
        };
        refusal(code, reason, "simulated trouble")
    }

    /// As the API server writes it.
    pub fn body(&self) -> Value {
        if self.reason.is_empty() {
            return self.message.clone().into();
        }
        let terminating = self
            .terminating
            .then(|| json!({"reason": "NamespaceTerminating", "field": "metadata.namespace", "message": self.message}));
        let causes: Vec<Value> = self
            .causes
            .iter()
            .map(|field| json!({"reason": "FieldValueInvalid", "field": field, "message": self.message}))
            .chain(terminating)
            .collect();
        let mut body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message, "reason": self.reason, "code": self.code});
        if !causes.is_empty() {
            body["details"] = json!({"causes": causes});
        }
        body
    }
}
