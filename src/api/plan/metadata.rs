//! The labels and annotations of a plan: the API server takes no others.

use super::InvalidSpec;
use crate::api::traffic::ServiceMetadata;

/// Longest name, and longest value of a label, in characters.
const LONGEST: usize = 63;
/// Longest domain in front of a name, in characters.
const LONGEST_DOMAIN: usize = 253;
/// What Warmfront's own labels and annotations begin with.
const OWN: &str = "warmfront.dev/";

pub(super) fn checked(metadata: &ServiceMetadata) -> Result<ServiceMetadata, InvalidSpec> {
    const FIELD: &str = "spec.traffic.canaryServiceMetadata";
    for (field, key) in keys(metadata) {
        if key.starts_with(OWN) {
            return Err(InvalidSpec(format!(
                "{FIELD}.{field}: {key} is Warmfront's own: leave it out"
            )));
        }
        if !is_key(key) {
            return Err(InvalidSpec(format!(
                "{FIELD}.{field}: {key} is no name that Kubernetes takes: write letters, digits, `-`, `_` and `.`, at most {LONGEST}, after an optional domain with `/`"
            )));
        }
    }
    let unfit = metadata
        .labels
        .iter()
        .find(|(_, value)| !value.is_empty() && !is_name(value));
    match unfit {
        Some((key, value)) => Err(InvalidSpec(format!(
            "{FIELD}.labels: {key} has the value {value}, which Kubernetes does not take: write letters, digits, `-`, `_` and `.`, at most {LONGEST}"
        ))),
        None => Ok(metadata.clone()),
    }
}

fn keys(metadata: &ServiceMetadata) -> impl Iterator<Item = (&'static str, &String)> {
    let labels = metadata.labels.keys().map(|key| ("labels", key));
    labels.chain(metadata.annotations.keys().map(|key| ("annotations", key)))
}

fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((domain, name)) => {
            let fits = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-' || one == '.';
            (1..=LONGEST_DOMAIN).contains(&domain.len()) && domain.chars().all(fits) && is_name(name)
        }
        None => is_name(key),
    }
}

fn is_name(text: &str) -> bool {
    let plain = |one: char| one.is_ascii_alphanumeric();
    (1..=LONGEST).contains(&text.len())
        && text.chars().all(|one| plain(one) || matches!(one, '-' | '_' | '.'))
        && text.starts_with(plain)
        && text.ends_with(plain)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn only_what_the_api_server_takes_is_taken() {
        let text = |text: &str| text.to_owned();
        let of = |key: &str, value: &str| {
            let labels = BTreeMap::from([(text(key), text(value))]);
            checked(&ServiceMetadata {
                labels,
                ..ServiceMetadata::default()
            })
            .map_err(|why| why.to_string())
        };
        assert!(of("release", "prometheus-1").is_ok());
        assert!(of("monitoring.example/scrape", "").is_ok());
        let refused = [
            ("a b", "x", "a b is no name"),
            ("Example.com/a", "x", "is no name"),
            ("a", "x y", "the value x y"),
            ("warmfront.dev/rollout", "x", "Warmfront's own"),
        ];
        for (key, value, why) in refused {
            let said = of(key, value).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }
}
