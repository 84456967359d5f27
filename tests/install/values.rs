//! The chart's values: what stands in `values.yaml`, and whether schema and comments say the same.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::read;

/// A value that can be set.
pub struct Entry {
    /// Such as `image.tag`.
    pub path: String,
    pub default: Value,
    /// Its comment in one line; empty if it has none.
    pub about: String,
}

pub fn schema() -> Value {
    serde_json::from_str(&read("charts/warmfront/values.schema.json")).unwrap()
}

pub fn defaults() -> Value {
    serde_yaml::from_str(&read("charts/warmfront/values.yaml")).unwrap()
}

/// Paths of the values that are set in `values`: as deep as the schema names properties.
pub fn paths(values: &Value, schema: &Value) -> BTreeSet<String> {
    fn walk(values: &Value, schema: &Value, at: &str, found: &mut BTreeSet<String>) {
        let (Some(fields), Some(properties)) = (values.as_object(), schema["properties"].as_object()) else {
            found.insert(at.to_owned());
            return;
        };
        for (name, value) in fields {
            let at = if at.is_empty() {
                name.clone()
            } else {
                format!("{at}.{name}")
            };
            walk(value, properties.get(name).unwrap_or(&Value::Null), &at, found);
        }
    }
    let mut found = BTreeSet::new();
    walk(values, schema, "", &mut found);
    found
}

/// Paths that the schema names.
fn named(schema: &Value, at: &str, found: &mut BTreeSet<String>) {
    let Some(properties) = schema["properties"].as_object() else {
        found.insert(at.to_owned());
        return;
    };
    for (name, property) in properties {
        let at = if at.is_empty() {
            name.clone()
        } else {
            format!("{at}.{name}")
        };
        named(property, &at, found);
    }
}

fn at<'a>(values: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(values, |value, name| &value[name])
}

/// All values in the order of the file, with the comments that stand over them.
pub fn entries() -> Vec<Entry> {
    let (text, defaults) = (read("charts/warmfront/values.yaml"), defaults());
    let known = paths(&defaults, &schema());
    let (mut found, mut about, mut above): (Vec<Entry>, Vec<&str>, Vec<(usize, &str)>) = Default::default();
    for line in text.lines() {
        let bare = line.trim_start();
        if let Some(comment) = bare.strip_prefix("## ") {
            about.push(comment);
            continue;
        }
        let indent = line.len() - bare.len();
        if let Some((name, _)) = bare.split_once(':')
            && name.chars().all(char::is_alphanumeric)
        {
            above.retain(|(other, _)| *other < indent);
            above.push((indent, name));
            let names: Vec<&str> = above.iter().map(|(_, name)| *name).collect();
            let path = names.join(".");
            if known.contains(&path) {
                let default = at(&defaults, &path).clone();
                let about = about.join(" ");
                found.push(Entry { path, default, about });
            }
        }
        about.clear();
    }
    found
}

#[test]
fn every_value_has_a_comment() {
    let entries = entries();
    let silent: Vec<&str> = entries
        .iter()
        .filter(|entry| entry.about.is_empty())
        .map(|entry| entry.path.as_str())
        .collect();
    assert_eq!(silent, [""; 0], "say over them, after `##`, what they do");
    let read: BTreeSet<String> = entries.into_iter().map(|entry| entry.path).collect();
    assert_eq!(read, paths(&defaults(), &schema()), "and all were found");
}

#[test]
fn the_schema_names_every_value_and_no_other() {
    let mut known = BTreeSet::new();
    named(&schema(), "", &mut known);
    assert_eq!(known, paths(&defaults(), &schema()));
}
