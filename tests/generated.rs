//! The generated files are what the code says; `make generate` (UPDATE=1) writes them.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use serde_json::Value;
use warmfront::{cli::reference, runtime::generate};

fn same_or_written(path: &Path, text: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == text,
        "{} is stale: run `make generate` and commit",
        path.display()
    );
}

/// Longest definition, in bytes of JSON. `kubectl apply` stores all of it once more in an annotation of the object, and all annotations
/// of an object together have at most 262,144 bytes. The rest of these is for others.
const LARGEST: usize = 200_000;

#[test]
fn definitions_are_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, text) in generate::crds().unwrap() {
        // Helm and kubectl read YAML 1.1, in which these words are booleans, as keys too.
        let bare = |line: &str| {
            line.trim_start_matches(['-', ' '])
                .trim_end()
                .trim_end_matches(':')
                .to_owned()
        };
        let boolean = text
            .lines()
            .find(|line| ["on", "off", "yes", "no", "y", "n"].contains(&bare(line).to_lowercase().as_str()));
        assert_eq!(boolean, None, "{name} has a field that YAML 1.1 takes for a boolean");
        let json = serde_yaml::from_str::<Value>(&text).unwrap().to_string();
        assert!(
            json.len() < LARGEST,
            "{name} is too large: {} bytes as JSON",
            json.len()
        );
        same_or_written(&root.join("crds").join(name), &text);
        same_or_written(&root.join("charts/warmfront/files/crds").join(name), &text);
    }
}

/// What is wrong is said in a sentence: to a `pattern` the API server answers with a regular expression. Of a percentage,
/// which may be a number, a sentence comes besides.
#[test]
fn a_value_that_is_refused_is_answered_with_a_sentence() {
    fn walk(schema: &Value, at: &str, bare: &mut Vec<String>) {
        let rules = schema["x-kubernetes-validations"].as_array();
        let told = rules.is_some_and(|rules| rules.iter().all(|rule| rule["message"].is_string()));
        if (schema["pattern"].is_string() && !(told && schema["x-kubernetes-int-or-string"] == true))
            || (rules.is_some() && !told)
        {
            bare.push(at.to_owned());
        }
        let bounded = schema["type"] != "string" || schema["maxLength"].is_u64();
        let matches = |rule: &Value| {
            rule["rule"]
                .as_str()
                .is_some_and(|rule| rule.starts_with("self.matches("))
        };
        if rules.is_some_and(|rules| rules.iter().any(matches)) && !bounded {
            bare.push(format!(
                "{at}: without maxLength its rule exceeds the API server's budget"
            ));
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(property, &format!("{at}.{name}"), bare);
        }
        for inner in ["items", "additionalProperties"] {
            if schema[inner].is_object() {
                walk(&schema[inner], &format!("{at}[]"), bare);
            }
        }
    }
    let mut bare = Vec::new();
    for (name, text) in generate::crds().unwrap() {
        let definition: Value = serde_yaml::from_str(&text).unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        walk(schema, name, &mut bare);
    }
    assert!(bare.is_empty(), "{bare:#?}");
    let all: String = generate::crds().unwrap().into_iter().map(|(_, text)| text).collect();
    for sentence in [
        "a quantile is p1 to p99.99, such as p99",
        "write a duration such as",
        "a percentage is",
        "that 0% of the requests fail could only be shown by endless traffic",
        "that not a single one is bad could only be shown by endless traffic",
        "the name of a metric consists of",
    ] {
        assert!(all.contains(sentence), "{sentence}");
    }
}

#[test]
fn rules_are_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    same_or_written(&root.join("charts/warmfront/files/rbac.yaml"), &generate::rbac());
    same_or_written(
        &root.join("charts/warmfront/files/rbac-namespace.yaml"),
        &generate::namespace_rbac(),
    );
}

#[test]
fn the_reference_of_the_command_line_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    same_or_written(&root.join("docs/reference/cli.md"), &reference::markdown());
}
