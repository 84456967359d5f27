//! What the controller asked of the API server, from the server's own audit log.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
};

use anyhow::Context as _;
use serde::Deserialize;

/// One request of the controller that was answered.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// get, list, watch, create, update, patch, delete.
    pub verb: String,
    #[serde(default)]
    object_ref: Reference,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reference {
    resource: String,
    subresource: String,
    namespace: String,
}

impl Request {
    /// Verb and resource, such as `update canaryrollouts/status`.
    pub fn name(&self) -> String {
        let Reference {
            resource, subresource, ..
        } = &self.object_ref;
        let slash = if subresource.is_empty() { "" } else { "/" };
        format!("{} {resource}{slash}{subresource}", self.verb)
    }

    /// Whether it renews the lease of the leader.
    pub fn is_lease(&self) -> bool {
        self.object_ref.resource == "leases"
    }

    /// Whether it changes an object other than an Event or a lease.
    pub fn is_write(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete")
            && self.object_ref.resource != "events"
            && !self.is_lease()
    }

    /// Whether it is about an object of this namespace.
    pub fn is_in(&self, namespace: &str) -> bool {
        self.object_ref.namespace == namespace
    }
}

/// Requests by name, most frequent first where they are printed.
pub fn by_name<'a>(requests: impl IntoIterator<Item = &'a Request>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for request in requests {
        *counts.entry(request.name()).or_default() += 1;
    }
    counts
}

/// The log.
pub struct Audit {
    /// The file, which holds requests of the controller's user only.
    pub path: PathBuf,
}

impl Audit {
    /// Where the log ends now.
    pub fn end(&self) -> anyhow::Result<u64> {
        Ok(std::fs::metadata(&self.path)
            .with_context(|| format!("looking at {}", self.path.display()))?
            .len())
    }

    /// Requests after a place that [`Audit::end`] told. A line that is still being written is left for the next time.
    pub fn since(&self, place: u64) -> anyhow::Result<Vec<Request>> {
        let mut file = File::open(&self.path).with_context(|| format!("opening {}", self.path.display()))?;
        file.seek(SeekFrom::Start(place))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        text[..whole]
            .lines()
            .map(|line| serde_json::from_str(line).context("reading a line of the audit log"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = concat!(
        r#"{"verb":"update","objectRef":{"resource":"canaryrollouts","subresource":"status","namespace":"a","name":"x"}}"#,
        "\n",
        r#"{"verb":"create","objectRef":{"resource":"events","namespace":"a"}}"#,
        "\n",
        r#"{"verb":"update","objectRef":{"resource":"leases","namespace":"warmfront"}}"#,
        "\n",
        r#"{"verb":"get"}"#,
        "\n",
        r#"{"verb":"pat"#,
    );

    #[test]
    fn requests_are_told_apart_and_a_half_line_is_left() -> anyhow::Result<()> {
        let path = std::env::temp_dir().join(format!("warmfront-bench-audit-{}", std::process::id()));
        std::fs::write(&path, LINES)?;
        let requests = Audit { path: path.clone() }.since(0);
        std::fs::remove_file(&path)?;
        let requests = requests?;
        assert_eq!(
            requests.iter().map(Request::name).collect::<Vec<_>>(),
            ["update canaryrollouts/status", "create events", "update leases", "get "]
        );
        assert_eq!(requests.iter().filter(|request| request.is_write()).count(), 1);
        assert_eq!(requests.iter().filter(|request| request.is_lease()).count(), 1);
        assert_eq!(requests.iter().filter(|request| request.is_in("a")).count(), 2);
        Ok(())
    }
}
