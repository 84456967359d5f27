//! The command line as a whole, and an API server that the commands' tests ask.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use clap::CommandFactory as _;
use kube::{Client, client::Body};
use serde_json::{Value, json};

use super::*;

/// Requests as they came: method and path with query, and the body.
pub type Requests = Arc<Mutex<Vec<(String, Value)>>>;

/// An API server that answers as this function says: HTTP status and body of a request and what it carries.
pub fn cluster(mut answer: impl FnMut(&str, &Value) -> (u16, Value) + Send + 'static) -> (Cluster, Requests) {
    let requests = Requests::default();
    let seen = requests.clone();
    let answers = Arc::new(Mutex::new(move |what: &str, body: &Value| answer(what, body)));
    let server = tower::service_fn(move |request: http::Request<Body>| {
        let (seen, answers) = (seen.clone(), answers.clone());
        async move {
            let what = format!("{} {}", request.method(), request.uri());
            let body = request.into_body().collect_bytes().await.unwrap_or_default();
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let (code, answer) = (answers.lock().unwrap())(&what, &body);
            seen.lock().unwrap().push((what, body));
            let answer = match answer {
                Value::String(text) => text,
                other => other.to_string(),
            };
            let answer = http::Response::builder()
                .status(code)
                .body(Body::from(answer.into_bytes()));
            Ok::<_, Infallible>(answer.unwrap())
        }
    });
    let cluster = Cluster {
        client: Client::new(server, "shop"),
        namespace: "shop".to_owned(),
        server: "https://api.test".to_owned(),
        timeout: Duration::from_secs(5),
    };
    (cluster, requests)
}

/// A failure as an API server words it.
pub fn failure(code: u16, reason: &str, message: &str, name: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": message, "details": {"name": name},
    })
}

/// A CanaryRollout `shop/catalog` with this status.
pub fn rollout(status: &Value) -> Value {
    let plan = &status["run"]["plan"];
    let spec = if plan.is_object() {
        plan.clone()
    } else {
        json!({
            "workload": {"deployment": {"name": "catalog"}},
            "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}},
            "unjudged": true,
        })
    };
    json!({
        "apiVersion": "warmfront.dev/v1alpha1",
        "kind": "CanaryRollout",
        "metadata": {
            "name": "catalog", "namespace": "shop", "uid": "1", "resourceVersion": "7",
            "generation": status["observedGeneration"].as_i64().unwrap_or(1), "creationTimestamp": "2027-01-15T07:00:00Z",
        },
        "spec": spec,
        "status": status,
    })
}

/// A status that a version has left in `src/engine/tests/golden/v0.1/`.
pub fn golden(scene: &str) -> Value {
    let path = format!(
        "{}/src/engine/tests/golden/v0.1/{scene}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A CanaryRollout `shop/catalog` in a state that a version has left.
pub fn scene(scene: &str) -> rollout::Rollout {
    rollout::Rollout::new(serde_json::from_value(rollout(&golden(scene))).unwrap())
}

#[test]
fn the_command_line_contradicts_itself_nowhere() {
    Cli::command().debug_assert();
}

#[test]
fn flags_stand_before_and_behind_the_command() {
    for arguments in ["-n shop list", "list -n shop"] {
        let arguments = std::iter::once("kubectl-canary").chain(arguments.split(' '));
        let cli = Cli::try_parse_from(arguments).unwrap();
        assert_eq!(cli.flags.namespace.as_deref(), Some("shop"));
    }
}

#[test]
fn a_wrong_argument_is_not_taken_for_a_rollback() {
    let code = |arguments: &[&str]| {
        let all = std::iter::once("kubectl-canary").chain(arguments.iter().copied());
        format!("{:?}", main(all.map(OsString::from)))
    };
    assert_eq!(code(&["lits"]), format!("{:?}", ExitCode::from(1)));
    assert_eq!(code(&["list", "--help"]), format!("{:?}", ExitCode::from(0)));
}
