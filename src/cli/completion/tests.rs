//! How a command line goes on.

use super::*;

fn of(line: &str) -> Completed {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let (word, before) = words.split_last().unwrap();
    completed(before, word)
}

fn words(line: &str) -> Vec<String> {
    match of(line) {
        Completed::Words(words) => words
            .iter()
            .map(|word| word.split('\t').next().unwrap().to_owned())
            .collect(),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn commands_names_options_and_values_are_known() {
    let commands = words("");
    assert!(
        commands.contains(&"status".to_owned()) && !commands.contains(&"__complete".to_owned()),
        "{commands:?}"
    );
    assert_eq!(words("-n shop "), commands, "the value of an option is no command");
    assert_eq!(of("promote "), Completed::Rollout);
    assert_eq!(of("status -n shop ca"), Completed::Rollout);
    assert_eq!(of("status catalog "), Completed::Unknown);
    assert!(words("promote catalog --").contains(&"--full".to_owned()));
    assert!(words("promote catalog --").contains(&"--context".to_owned()));
    assert_eq!(words("status catalog -o "), ["wide", "json", "yaml", "name"]);
    assert_eq!(of("status --kubeconfig "), Completed::File);
    assert_eq!(of("status -n "), Completed::Unknown);
}

#[test]
fn the_cluster_is_the_one_that_the_line_names() {
    let before: Vec<String> = "status --context=two -n shop".split(' ').map(str::to_owned).collect();
    let flags = flags(&before);
    assert_eq!(
        (flags.context.as_deref(), flags.namespace.as_deref()),
        (Some("two"), Some("shop"))
    );
}

#[tokio::test]
async fn names_come_from_the_cluster() {
    let (cluster, requests) = crate::cli::tests::cluster(|_, _| {
        let items = serde_json::json!([{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "catalog"}}]);
        (
            200,
            serde_json::json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "items": items}),
        )
    });
    assert_eq!(asked(&cluster).await.unwrap(), ["catalog"]);
    assert!(
        requests.lock().unwrap()[0]
            .0
            .contains("/namespaces/shop/canaryrollouts")
    );
}
