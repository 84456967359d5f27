//! A wait outlives what an API server does to it: expired versions, disconnects, credentials, objects that are not there yet.

use std::{convert::Infallible, sync::Arc};

use kube::{Client, client::Body};
use serde_json::{Value, json};

use super::{
    super::tests::{Requests, cluster, failure},
    *,
};

/// Statuses that follow one another, each under a version of its own.
fn rollout(version: u32, status: &Value) -> Value {
    json!({
        "apiVersion": "warmfront.dev/v1alpha1", "kind": "CanaryRollout",
        "metadata": {"name": "catalog", "namespace": "shop", "uid": "r1", "generation": 1, "resourceVersion": version.to_string()},
        "spec": {"workload": {"deployment": {"name": "catalog"}}}, "status": status,
    })
}

fn serves(generation: i64, revision: &str) -> Value {
    let condition = json!({"type": "Promoted", "status": "True", "reason": "Promoted", "message": "", "lastTransitionTime": "2027-01-15T07:00:00Z"});
    json!({"phase": "Succeeded", "observedGeneration": 1, "observedWorkloadGeneration": generation, "observedWorkloadUid": "d1",
        "stableRevision": revision, "message": "it serves", "conditions": [condition]})
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "catalog", "uid": "d1", "generation": 8},
        "spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "app", "image": "catalog:n"}]}}}})
}

fn list(items: &[Value]) -> (u16, Value) {
    (
        200,
        json!({"apiVersion": "warmfront.dev/v1alpha1", "kind": "CanaryRolloutList", "metadata": {"resourceVersion": "5"}, "items": items}),
    )
}

fn event(object: &Value) -> (u16, Value) {
    (
        200,
        Value::String(json!({"type": "MODIFIED", "object": object}).to_string() + "\n"),
    )
}

fn order() -> Order {
    Order {
        goal: Goal::Promoted,
        wanted: Wanted::Any,
        fail_on_pause: false,
    }
}

/// Answers of an API server: to requests for rollouts one after the other, the last one for ever; to those for the Deployment another.
struct Server {
    rollouts: Vec<(u16, Value)>,
    deployments: Vec<(u16, Value)>,
}

fn next(answers: &mut Vec<(u16, Value)>) -> (u16, Value) {
    if answers.len() > 1 {
        answers.remove(0)
    } else {
        answers[0].clone()
    }
}

/// How a wait of ten minutes ends: the exit, its lines, how many connections it took, and the requests.
async fn waited(mut server: Server) -> (Exit, Vec<String>, usize, Requests) {
    let (cluster, requests) = cluster(move |what, _| {
        let answers = if what.contains("/deployments/") {
            &mut server.deployments
        } else {
            &mut server.rollouts
        };
        next(answers)
    });
    let (mut lines, mut connections) = (Vec::new(), 0);
    let connect = async || {
        connections += 1;
        Ok(cluster.clone())
    };
    let exit = wait(connect, "catalog", order(), Pause::from_mins(10), |line| {
        lines.push(line.to_owned());
        Ok(())
    });
    let exit = exit.await.unwrap();
    (exit, lines, connections, requests)
}

#[tokio::test(start_paused = true)]
async fn an_older_success_is_passed_over() {
    let (exit, lines, connections, _) = waited(Server {
        rollouts: vec![
            list(&[rollout(7, &serves(7, "s"))]),
            event(&rollout(8, &serves(8, "n"))),
        ],
        deployments: vec![(200, deployment())],
    })
    .await;
    assert_eq!((exit, connections), (Exit::Reached, 1));
    assert!(lines[0].contains("waiting for the controller to come to generation 8 of Deployment catalog: its status speaks of generation 7"), "{lines:?}");
    assert!(lines[1].contains("revision n serves all users"), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn an_expired_version_a_restart_and_credentials_that_ran_out_end_no_wait() {
    let gone = json!({"type": "ERROR", "object": failure(410, "Expired", "too old resource version", "")}).to_string();
    let old = || list(&[rollout(7, &serves(7, "s"))]);
    let (exit, lines, connections, _) = waited(Server {
        rollouts: vec![
            old(),
            (200, Value::String(gone)),
            (401, failure(401, "Unauthorized", "the token has expired", "")),
            (401, failure(401, "Unauthorized", "the token has expired", "")),
            old(),
            (200, Value::String(String::new())),
            (503, failure(503, "ServiceUnavailable", "starting", "")),
            list(&[rollout(9, &serves(8, "n"))]),
        ],
        deployments: vec![(200, deployment())],
    })
    .await;
    assert_eq!(exit, Exit::Reached);
    assert!(connections >= 4, "credentials are read anew: {connections}");
    let told = lines.iter().filter(|line| line.contains("expired")).count();
    assert_eq!(told, 1, "what goes on is told once: {lines:?}");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_exist_yet_is_waited_for() {
    let (exit, lines, _, _) = waited(Server {
        rollouts: vec![
            (
                404,
                failure(404, "NotFound", "the server could not find the requested resource", ""),
            ),
            (
                404,
                failure(404, "NotFound", "the server could not find the requested resource", ""),
            ),
            list(&[]),
            event(&rollout(6, &json!({}))),
            (503, failure(503, "ServiceUnavailable", "starting", "")),
            list(&[rollout(8, &serves(8, "n"))]),
        ],
        deployments: vec![
            (
                404,
                failure(404, "NotFound", "deployments.apps \"catalog\" not found", "catalog"),
            ),
            (200, deployment()),
        ],
    })
    .await;
    assert_eq!(exit, Exit::Reached);
    let said = |what: &str| {
        assert_eq!(
            lines.iter().filter(|line| line.contains(what)).count(),
            1,
            "{what}: {lines:?}"
        );
    };
    said("is Warmfront installed in it");
    said("waiting for the CanaryRollout to exist");
    said("waiting for Deployment catalog to exist");
}

#[tokio::test(start_paused = true)]
async fn a_refused_deployment_is_told_and_read_no_more() {
    let (exit, lines, _, requests) = waited(Server {
        rollouts: vec![list(&[rollout(7, &serves(7, "s"))])],
        deployments: vec![(
            403,
            failure(403, "Forbidden", "deployments.apps \"catalog\" is forbidden", "catalog"),
        )],
    })
    .await;
    assert_eq!(exit, Exit::Reached);
    assert!(lines[0].contains("may be taken for this one's"), "{lines:?}");
    let reads = requests
        .lock()
        .unwrap()
        .iter()
        .filter(|(what, _)| what.contains("/deployments/"))
        .count();
    assert_eq!(reads, 1);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_not_the_one_waited_for_is_not_asked_for_all_the_time() {
    let mut other = deployment();
    other["metadata"]["uid"] = json!("d2");
    let (exit, _, _, requests) = waited(Server {
        rollouts: vec![
            list(&[rollout(7, &serves(8, "s"))]),
            (503, failure(503, "ServiceUnavailable", "starting", "")),
        ],
        deployments: vec![(200, other)],
    })
    .await;
    assert_eq!(exit, Exit::TimedOut);
    let reads = requests
        .lock()
        .unwrap()
        .iter()
        .filter(|(what, _)| what.contains("/deployments/"))
        .count();
    assert!(reads < 400, "{reads}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_lasts_no_longer_than_the_time_given() {
    let silent = tower::service_fn(|_: http::Request<Body>| async {
        std::future::pending::<()>().await;
        Ok::<_, Infallible>(http::Response::new(Body::empty()))
    });
    let cluster = Cluster {
        client: Client::new(silent, "shop"),
        namespace: "shop".to_owned(),
        server: "https://api.test".to_owned(),
        timeout: Pause::from_secs(5),
    };
    let lines = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = lines.clone();
    let began = Instant::now();
    let exit = wait(
        async || Ok(cluster.clone()),
        "catalog",
        order(),
        Pause::from_mins(1),
        |line| {
            told.lock().unwrap().push(line.to_owned());
            Ok(())
        },
    );
    assert_eq!(exit.await.unwrap(), Exit::TimedOut);
    assert_eq!(began.elapsed().as_secs(), 60);
    assert!(lines.lock().unwrap()[0].contains("timed out"));
}

#[tokio::test(start_paused = true)]
async fn a_kubeconfig_that_is_being_written_is_read_again() {
    let mut server = Server {
        rollouts: vec![
            (401, failure(401, "Unauthorized", "no", "")),
            list(&[rollout(7, &serves(8, "n"))]),
        ],
        deployments: vec![(200, deployment())],
    };
    let (cluster, _) = cluster(move |what, _| {
        let answers = if what.contains("/deployments/") {
            &mut server.deployments
        } else {
            &mut server.rollouts
        };
        next(answers)
    });
    let mut connections = 0;
    let connect = async || {
        connections += 1;
        if connections == 2 {
            anyhow::bail!("reading the kubeconfig failed");
        }
        Ok(cluster.clone())
    };
    let exit = wait(connect, "catalog", order(), Pause::from_mins(1), |_| Ok(()));
    assert_eq!(exit.await.unwrap(), Exit::Reached);
}
