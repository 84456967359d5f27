//! Names of pods. In metrics and EndpointSlices they are all that says to which version a pod belongs.

/// Length at which Kubernetes cuts a ReplicaSet's name before it adds five random letters: 63 characters fit a label.
const LONGEST_BASE: usize = 58;

/// Longest name of a Deployment whose pods' names still have enough of the revision to tell two apart: 58 less a hyphen and the five first characters of the revision.
pub const LONGEST_DEPLOYMENT: usize = 52;

/// What the names of all pods of a ReplicaSet begin with.
pub fn prefix(replica_set: &str) -> String {
    format!("{replica_set}-").chars().take(LONGEST_BASE).collect()
}

/// Whether a pod has a name as this ReplicaSet gives it: its prefix and one more part without a hyphen.
pub fn is_of(pod: &str, replica_set: &str) -> bool {
    pod.strip_prefix(&prefix(replica_set))
        .is_some_and(|rest| !rest.is_empty() && !rest.contains('-'))
}

/// The ReplicaSet that gives a pod such a name, or as much of its name as tells its pods from others; nothing where none would.
pub fn replica_set(pod: &str) -> Option<&str> {
    if pod.len() == LONGEST_BASE.saturating_add(5) {
        return pod.get(..LONGEST_BASE);
    }
    pod.rsplit_once('-').map(|(set, _)| set).filter(|set| !set.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_replica_set_of_a_pod_is_one_whose_pod_it_is() {
        let long = format!("{}-w4x9k", "a".repeat(LONGEST_DEPLOYMENT));
        let cut = format!("{long}x2x4z");
        for pod in ["catalog-7f8b9c6d5-x2x4z", &cut] {
            let set = replica_set(pod).unwrap();
            assert!(is_of(pod, set), "{pod} {set}");
        }
        assert_eq!((replica_set("catalog"), replica_set("-x")), (None, None));
    }

    #[test]
    fn names_of_other_workloads_and_cut_names_are_told_apart() {
        assert!(is_of("catalog-7f8b9c6d5-x2x4z", "catalog-7f8b9c6d5"));
        assert!(!is_of("catalog-7f8b9c6d5-worker-x2x4z", "catalog-7f8b9c6d5"));
        assert!(!is_of("catalog-7f8b9c6d5", "catalog-7f8b9c6d5"));
        // 52 letters, as the API server cuts them.
        let long = "a".repeat(LONGEST_DEPLOYMENT);
        let pod = format!("{long}-w4x9kx2x4z");
        assert!(is_of(&pod, &format!("{long}-w4x9kqqqqq")));
        assert!(!is_of(&pod, &format!("{long}-wzzzzqqqqq")));
    }
}
