//! Progressive delivery for cached services on Kubernetes.
