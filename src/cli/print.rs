//! Output: text for people, objects for programs.

use std::io::{self, Write as _};

use anyhow::Context as _;
use kube::core::DynamicObject;
use serde::Serialize;
use serde_json::{Value, json};

use super::flags::Output;

/// Writes text to the standard output. Whoever has closed it has seen enough.
pub fn text(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("writing to the standard output failed"),
    }
}

/// Lines of text, each with its end.
pub fn lines(lines: &[String]) -> anyhow::Result<()> {
    let mut all = String::new();
    for line in lines {
        all.push_str(line);
        all.push('\n');
    }
    text(&all)
}

/// What a program reads: JSON or YAML as asked for. `name` is what `-o name` prints.
pub fn data(output: Output, value: &impl Serialize, names: &[String]) -> anyhow::Result<()> {
    match output {
        Output::Name => lines(names),
        Output::Yaml => text(&serde_yaml::to_string(value).context("writing YAML failed")?),
        Output::Json | Output::Wide => {
            let mut json = serde_json::to_string_pretty(value).context("writing JSON failed")?;
            json.push('\n');
            text(&json)
        }
    }
}

/// The object as `kubectl get -o json` prints it: without managedFields.
pub fn plain(object: &DynamicObject) -> Value {
    let mut value = json!(object);
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    value
}
