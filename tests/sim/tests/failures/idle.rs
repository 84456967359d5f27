//! At rest nothing is asked of the API server, and after a restart whether it holds changed templates, nothing else.

use std::time::Duration;

use warmfront_sim::{
    apiserver::lock,
    scenario::{Leaders, Run, Scenario, run::simulate},
};

#[test]
fn an_idle_rollout_costs_no_call_and_a_restart_no_write() {
    let scenario = Scenario::read("title: idle").unwrap();
    simulate(async {
        let run = Run::begin(&scenario, Vec::new(), Leaders::default()).await;
        run.rest().await.unwrap();
        // Events of the last ten minutes are told again after a restart.
        tokio::time::sleep(Duration::from_mins(11)).await;
        let before = run.controller.current().calls().len();
        let version = lock(&run.cluster).store.version();
        // A silent watch is opened again after some minutes; nothing else happens.
        tokio::time::sleep(Duration::from_mins(30)).await;
        let calls = run.controller.current().calls();
        assert!(
            calls[before..].iter().all(|call| call.starts_with("Watch")),
            "calls while idle: {:?}",
            &calls[before..]
        );
        run.controller.current().kill();
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(run.controller.lives().len(), 2, "it was started again");
        let calls = run.controller.current().calls();
        let (dry, others): (Vec<_>, Vec<_>) = calls.iter().partition(|call| call.ends_with("(dry run)"));
        assert_eq!(
            dry.len(),
            1,
            "whether the API server holds changed templates is asked once"
        );
        assert!(
            others
                .iter()
                .all(|call| ["Kinds", "List", "Watch"].iter().any(|read| call.starts_with(read))),
            "calls after a restart: {calls:?}"
        );
        assert_eq!(lock(&run.cluster).store.version(), version, "nothing was written");
    });
}
