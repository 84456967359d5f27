//! Names of pods: they tell the version where nothing else does, as in metrics and EndpointSlices.

/// Kubernetes cuts a generated name's base here, so that five random letters still fit a label.
const LONGEST_BASE: usize = 58;

/// Longest name of a Deployment that leaves enough of a version's hash in its pods' names.
pub const LONGEST_DEPLOYMENT: usize = 52;

/// What the names of a ReplicaSet's pods begin with.
pub fn prefix(replica_set: &str) -> String {
    format!("{replica_set}-").chars().take(LONGEST_BASE).collect()
}

/// Whether a pod's name is one that its ReplicaSet gives: the prefix and one more part.
pub fn is_of(pod: &str, replica_set: &str) -> bool {
    pod.strip_prefix(&prefix(replica_set))
        .is_some_and(|rest| !rest.is_empty() && !rest.contains('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

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
