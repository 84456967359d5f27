//! What Helm makes of the chart.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde::Deserialize;
use serde_json::Value;

use crate::root;

/// Oldest Kubernetes that the chart is for.
const KUBERNETES: &str = "1.33.0";

/// Objects that the chart makes, each with its text.
pub struct Rendered(Vec<Value>);

/// Runs Helm with this on its standard input; what it printed, or what it complained of.
pub fn helm(arguments: &[&str], input: &str) -> Result<String, String> {
    let mut child = Command::new("helm")
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("starting helm: {error}: run this test by `make chart`, which builds it"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    if done.status.success() {
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&done.stderr).into_owned())
    }
}

/// Renders a chart as release `wf` in namespace `ns`, for an API server that has these kinds too.
pub fn rendered(chart: &str, values: &str, kinds: &[&str]) -> Result<Rendered, String> {
    let mut arguments = vec!["template", "wf", chart, "-n", "ns", "--kube-version", KUBERNETES];
    for kind in kinds {
        arguments.extend(["--api-versions", kind]);
    }
    arguments.extend(["--values", "-"]);
    let text = helm(&arguments, values)?;
    let objects = serde_yaml::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap_or_else(|error| panic!("{error} in\n{text}")))
        .filter(|object| !object.is_null());
    Ok(Rendered(objects.collect()))
}

impl Rendered {
    /// All objects.
    pub fn all(&self) -> &[Value] {
        &self.0
    }

    /// What stands in an object, `KIND/NAME`, at a path such as `spec containers [warmfront] image`; null if nothing does. A name in
    /// brackets is that of an element of a list.
    pub fn at(&self, object: &str, path: &str) -> Value {
        let found = self
            .0
            .iter()
            .find(|found| format!("{}/{}", text(&found["kind"]), text(&found["metadata"]["name"])) == object);
        let mut value = found.unwrap_or(&Value::Null);
        for step in path.split(' ') {
            value = match (step.strip_prefix('['), value) {
                (Some(name), Value::Array(items)) => items
                    .iter()
                    .find(|item| text(&item["name"]) == name.trim_end_matches(']'))
                    .unwrap_or(&Value::Null),
                (None, Value::Array(items)) => step
                    .parse()
                    .ok()
                    .and_then(|n: usize| items.get(n))
                    .unwrap_or(&Value::Null),
                (_, value) => &value[step],
            };
        }
        value.clone()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
