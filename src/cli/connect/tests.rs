//! Kubeconfigs as people have them, and what is said of those that cannot be used.

use std::{fs, sync::OnceLock};

use super::*;

/// A kubeconfig with two contexts, the first one current.
const TWO: &str = "
apiVersion: v1
kind: Config
current-context: one
clusters:
- {name: c1, cluster: {server: 'https://one.test:6443'}}
- {name: c2, cluster: {server: 'https://two.test:6443'}}
users:
- {name: u, user: {token: abc}}
contexts:
- {name: one, context: {cluster: c1, user: u, namespace: shop}}
- {name: two, context: {cluster: c2, user: u}}
- {name: broken, context: {cluster: none, user: u}}
";

fn flags(name: &str, text: &str) -> Flags {
    static TLS: OnceLock<()> = OnceLock::new();
    TLS.get_or_init(|| drop(rustls::crypto::aws_lc_rs::default_provider().install_default()));
    let path = std::env::temp_dir().join(format!("kubectl-canary-{}-{name}", std::process::id()));
    fs::write(&path, text).unwrap();
    Flags {
        kubeconfig: Some(path),
        ..Flags::default()
    }
}

async fn refusal(flags: &Flags) -> String {
    match connect(flags).await {
        Ok(cluster) => panic!("connected to {}", cluster.server),
        Err(error) => format!("{error:#}"),
    }
}

#[tokio::test]
async fn the_context_says_where_and_the_flags_say_more() {
    let mut flags = flags("context", TWO);
    let cluster = connect(&flags).await.unwrap();
    assert_eq!(
        (cluster.server.as_str(), cluster.namespace.as_str()),
        ("https://one.test:6443", "shop")
    );
    flags.context = Some("two".to_owned());
    let cluster = connect(&flags).await.unwrap();
    assert_eq!(
        (cluster.server.as_str(), cluster.namespace.as_str()),
        ("https://two.test:6443", "default")
    );
    flags.namespace = Some("other".to_owned());
    assert_eq!(connect(&flags).await.unwrap().namespace, "other");
}

#[tokio::test]
async fn somebody_else_is_asked_for_with_all_groups() {
    let mut flags = flags("as", TWO);
    flags.as_user = Some("alice".to_owned());
    flags.as_group = vec!["dev".to_owned(), "ops".to_owned()];
    let config = impersonating(config(&flags).await.unwrap(), &flags);
    assert_eq!(config.auth_info.impersonate.as_deref(), Some("alice"));
    assert_eq!(config.auth_info.impersonate_groups.unwrap(), ["dev", "ops"]);
}

#[tokio::test]
async fn what_is_wrong_is_said_with_what_to_do() {
    let mut flags = flags("wrong", TWO);
    flags.context = Some("three".to_owned());
    let said = refusal(&flags).await;
    assert!(
        said.contains("context \"three\"") && said.contains("--context (it has one, two, broken)"),
        "{said}"
    );
    flags.context = Some("broken".to_owned());
    assert!(refusal(&flags).await.contains("cluster"), "{}", refusal(&flags).await);
    let without = self::flags("without", &TWO.replace("current-context: one", ""));
    let said = refusal(&without).await;
    assert!(said.contains("has no current context"), "{said}");
    let absent = Flags {
        kubeconfig: Some("/nonexistent/config".into()),
        ..Flags::default()
    };
    let said = refusal(&absent).await;
    assert!(
        said.contains("/nonexistent/config") && said.contains("--kubeconfig"),
        "{said}"
    );
}
