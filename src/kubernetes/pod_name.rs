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
