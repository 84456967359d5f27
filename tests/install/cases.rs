//! What each value of the chart makes different, and which values are refused.

/// Values, and what is seen with them.
pub struct Case {
    /// As YAML.
    pub values: &'static str,
    /// Kinds that the API server has besides those that all have.
    pub kinds: &'static [&'static str],
    /// Object, path and what stands there, as YAML: `null` if nothing does.
    pub seen: &'static [(&'static str, &'static str, &'static str)],
}

/// A policy's kind, of Kubernetes 1.34 with its feature gate.
pub const POLICY: &str = "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy";
const KNOWN_SOURCE: &str = "warmfront.dev/v1alpha1/MetricSource";

const DEPLOYMENT: &str = "Deployment/wf";
const JOB: &str = "Job/wf-release-all";

const fn case(values: &'static str, seen: &'static [(&'static str, &'static str, &'static str)]) -> Case {
    Case {
        values,
        kinds: &[],
        seen,
    }
}

/// What is seen of the controller's pods and of those of the Job alike.
macro_rules! both {
    ($values:literal, $path:literal, $expected:literal) => {
        case(
            $values,
            &[
                (DEPLOYMENT, concat!("spec template spec ", $path), $expected),
                (JOB, concat!("spec template spec ", $path), $expected),
            ],
        )
    };
}

/// The same of their only containers.
macro_rules! container {
    ($values:literal, $path:literal, $expected:literal) => {
        case(
            $values,
            &[
                (
                    DEPLOYMENT,
                    concat!("spec template spec containers [warmfront] ", $path),
                    $expected,
                ),
                (
                    JOB,
                    concat!("spec template spec containers [release-all] ", $path),
                    $expected,
                ),
            ],
        )
    };
}

macro_rules! source {
    ($values:literal, $path:literal, $expected:literal) => {
        case($values, &[("MetricSource/default", $path, $expected)])
    };
}

pub const CASES: &[Case] = &[
    both!(
        "global: {imagePullSecrets: [{name: a}]}",
        "imagePullSecrets",
        "[{name: a}]"
    ),
    both!(
        "{imagePullSecrets: [{name: b}], global: {imagePullSecrets: [{name: a}, {name: b}]}}",
        "imagePullSecrets",
        "[{name: b}, {name: a}]"
    ),
    both!("global: {priorityClassName: high}", "priorityClassName", "high"),
    both!(
        "{priorityClassName: higher, global: {priorityClassName: high}}",
        "priorityClassName",
        "higher"
    ),
    case(
        "global: {commonLabels: {team: x, app.kubernetes.io/name: other}}",
        &[
            (DEPLOYMENT, "metadata labels team", "x"),
            (DEPLOYMENT, "metadata labels app.kubernetes.io/name", "warmfront"),
            (DEPLOYMENT, "spec template metadata labels team", "x"),
            (JOB, "metadata labels team", "x"),
            (JOB, "spec template metadata labels team", "x"),
            ("ServiceAccount/wf", "metadata labels team", "x"),
            ("ClusterRole/wf", "metadata labels team", "x"),
            ("ClusterRole/wf-view", "metadata labels team", "x"),
            ("ClusterRole/wf-edit", "metadata labels team", "x"),
            ("ClusterRole/wf-act", "metadata labels team", "x"),
            ("ClusterRoleBinding/wf", "metadata labels team", "x"),
            ("Role/wf", "metadata labels team", "x"),
            ("RoleBinding/wf", "metadata labels team", "x"),
            ("NetworkPolicy/wf", "metadata labels team", "x"),
            ("PodDisruptionBudget/wf", "metadata labels team", "x"),
            ("MetricSource/default", "metadata labels team", "x"),
            (
                "MetricSource/default",
                "metadata labels app.kubernetes.io/managed-by",
                "Helm",
            ),
            (
                "CustomResourceDefinition/canaryrollouts.warmfront.dev",
                "metadata labels team",
                "x",
            ),
        ],
    ),
    both!(
        "global: {nodeSelector: {zone: a}}",
        "nodeSelector",
        "{zone: a, kubernetes.io/os: linux}"
    ),
    both!(
        "nodeSelector: {pool: infra}",
        "nodeSelector",
        "{pool: infra, kubernetes.io/os: linux}"
    ),
    case(
        "fullnameOverride: other",
        &[
            ("Deployment/other", "spec template spec serviceAccountName", "other"),
            (
                "Job/other-release-all",
                "spec template spec containers [release-all] args",
                "[release-all, --deployment, other, --deadline, 4m]",
            ),
            ("ClusterRoleBinding/other", "roleRef name", "other"),
            (
                "ClusterRoleBinding/other",
                "subjects",
                "[{kind: ServiceAccount, name: other, namespace: ns}]",
            ),
            (
                "RoleBinding/other",
                "subjects",
                "[{kind: ServiceAccount, name: other, namespace: ns}]",
            ),
            ("ClusterRole/other-act", "kind", "ClusterRole"),
            (DEPLOYMENT, "kind", "null"),
        ],
    ),
    container!("image: {repository: r.example/w, tag: '1'}", "image", "r.example/w:1"),
    container!(
        "image: {digest: 'sha256:0123456789012345678901234567890123456789012345678901234567890123', tag: '1'}",
        "image",
        "warmfront:1@sha256:0123456789012345678901234567890123456789012345678901234567890123"
    ),
    container!("image: {pullPolicy: Always}", "imagePullPolicy", "Always"),
    case(
        "replicas: 1",
        &[
            (DEPLOYMENT, "spec replicas", "1"),
            ("PodDisruptionBudget/wf", "kind", "null"),
        ],
    ),
    case(
        "replicas: 3",
        &[
            (DEPLOYMENT, "spec replicas", "3"),
            ("PodDisruptionBudget/wf", "spec minAvailable", "1"),
        ],
    ),
    Case {
        values: "hold: Pause",
        kinds: &[POLICY],
        seen: &[
            ("MutatingAdmissionPolicy/warmfront-hold", "kind", "null"),
            (
                DEPLOYMENT,
                "spec template metadata annotations warmfront.dev/hold",
                "none",
            ),
        ],
    },
    case(
        "crds: {enabled: false}",
        &[("CustomResourceDefinition/canaryrollouts.warmfront.dev", "kind", "null")],
    ),
    container!("log: debug", "env [WARMFRONT_LOG] value", "debug"),
    source!("metricSource: {enabled: false}", "kind", "null"),
    source!(
        "metricSource: {prometheus: {url: 'https://p.example'}}",
        "spec prometheus url",
        "https://p.example"
    ),
    source!("metricSource: {preset: envoy}", "spec preset", "envoy"),
    source!(
        "metricSource: {podLabel: exported_pod}",
        "spec podLabel",
        "exported_pod"
    ),
    source!(
        "metricSource: {namespaceLabel: exported_namespace}",
        "spec namespaceLabel",
        "exported_namespace"
    ),
    source!(
        "metricSource: {matchers: {cluster: eu-1}}",
        "spec matchers",
        "{cluster: eu-1}"
    ),
    source!("metricSource: {scrapeInterval: 30s}", "spec scrapeInterval", "30s"),
    Case {
        values: "metricSource: {lag: 1m}",
        // Where the kind is known the object is one like all others.
        kinds: &[KNOWN_SOURCE],
        seen: &[
            ("MetricSource/default", "spec lag", "1m"),
            ("MetricSource/default", "metadata annotations helm.sh/hook", "null"),
        ],
    },
    case(
        "webhooks: {allowedHosts: [a.example, '*.b.example']}",
        &[(
            DEPLOYMENT,
            "spec template spec containers [warmfront] env [WARMFRONT_WEBHOOK_ALLOWED_HOSTS] value",
            "a.example,*.b.example",
        )],
    ),
    case(
        "webhooks: {longestCall: 2m}",
        &[(
            DEPLOYMENT,
            "spec template spec containers [warmfront] env [WARMFRONT_WEBHOOK_LONGEST_CALL] value",
            "2m",
        )],
    ),
    case(
        "webhooks: {secrets: {shop: [chat]}}",
        &[
            ("Role/wf-secrets", "metadata namespace", "shop"),
            (
                "Role/wf-secrets",
                "rules",
                "[{apiGroups: [''], resources: [secrets], verbs: [get], resourceNames: [chat]}]",
            ),
            ("RoleBinding/wf-secrets", "roleRef name", "wf-secrets"),
            (
                "RoleBinding/wf-secrets",
                "subjects",
                "[{kind: ServiceAccount, name: wf, namespace: ns}]",
            ),
        ],
    ),
    case(
        "webhooks: {secrets: {shop: []}}",
        &[(
            "Role/wf-secrets",
            "rules",
            "[{apiGroups: [''], resources: [secrets], verbs: [get]}]",
        )],
    ),
    case(
        "networkPolicy: {enabled: false}",
        &[("NetworkPolicy/wf", "kind", "null")],
    ),
    case(
        "networkPolicy: {metricsFrom: []}",
        &[("NetworkPolicy/wf", "spec ingress", "[]")],
    ),
    case(
        "rbac: {rolloutsForEditors: false}",
        &[
            (
                "ClusterRole/wf-view",
                "metadata labels rbac.authorization.k8s.io/aggregate-to-view",
                "null",
            ),
            (
                "ClusterRole/wf-edit",
                "metadata labels rbac.authorization.k8s.io/aggregate-to-edit",
                "null",
            ),
            (
                "ClusterRole/wf-act",
                "metadata labels rbac.authorization.k8s.io/aggregate-to-edit",
                "'true'",
            ),
        ],
    ),
    case(
        "rbac: {actionsForEditors: false}",
        &[
            (
                "ClusterRole/wf-act",
                "metadata labels rbac.authorization.k8s.io/aggregate-to-edit",
                "null",
            ),
            (
                "ClusterRole/wf-view",
                "metadata labels rbac.authorization.k8s.io/aggregate-to-view",
                "'true'",
            ),
        ],
    ),
    container!("configMaps: false", "env [WARMFRONT_CONFIG_MAPS] value", "'false'"),
    case("uninstall: {giveBack: false}", &[(JOB, "kind", "null")]),
    case(
        "uninstall: {deadline: 9m}",
        &[(
            JOB,
            "spec template spec containers [release-all] args",
            "[release-all, --deployment, wf, --deadline, 9m]",
        )],
    ),
    case(
        "serviceAccount: {create: false, name: mine}",
        &[
            ("ServiceAccount/mine", "kind", "null"),
            (DEPLOYMENT, "spec template spec serviceAccountName", "mine"),
            (JOB, "spec template spec serviceAccountName", "mine"),
            (
                "ClusterRoleBinding/wf",
                "subjects",
                "[{kind: ServiceAccount, name: mine, namespace: ns}]",
            ),
            (
                "RoleBinding/wf",
                "subjects",
                "[{kind: ServiceAccount, name: mine, namespace: ns}]",
            ),
        ],
    ),
    case(
        "serviceAccount: {name: mine}",
        &[
            ("ServiceAccount/mine", "metadata namespace", "ns"),
            ("ServiceAccount/wf", "kind", "null"),
        ],
    ),
    case(
        "serviceAccount: {annotations: {role: x}}",
        &[("ServiceAccount/wf", "metadata annotations", "{role: x}")],
    ),
    container!("resources: {limits: {memory: 1Gi}}", "resources limits memory", "1Gi"),
    both!(
        "tolerations: [{key: infra, operator: Exists}]",
        "tolerations",
        "[{key: infra, operator: Exists}]"
    ),
    both!(
        "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}",
        "affinity nodeAffinity requiredDuringSchedulingIgnoredDuringExecution nodeSelectorTerms 0 matchExpressions 0 key",
        "a"
    ),
    case(
        "topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]",
        &[(
            DEPLOYMENT,
            "spec template spec topologySpreadConstraints",
            "[{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]",
        )],
    ),
    case(
        "podAnnotations: {prometheus.io/scrape: 'false', a: b, warmfront.dev/hold: c}",
        &[
            (
                DEPLOYMENT,
                "spec template metadata annotations",
                "{prometheus.io/scrape: 'false', prometheus.io/port: '8080', a: b, warmfront.dev/hold: none}",
            ),
            (JOB, "spec template metadata annotations a", "b"),
        ],
    ),
    case(
        "podLabels: {tier: ops}",
        &[
            (DEPLOYMENT, "spec template metadata labels tier", "ops"),
            (JOB, "spec template metadata labels tier", "ops"),
            (DEPLOYMENT, "metadata labels tier", "null"),
        ],
    ),
    case(
        "deploymentAnnotations: {a: b}",
        &[(DEPLOYMENT, "metadata annotations", "{a: b}")],
    ),
    case(
        "extraArgs: ['--log=trace']",
        &[
            (
                DEPLOYMENT,
                "spec template spec containers [warmfront] args",
                "[run, '--log=trace']",
            ),
            (
                JOB,
                "spec template spec containers [release-all] args",
                "[release-all, --deployment, wf, --deadline, 4m, '--log=trace']",
            ),
        ],
    ),
    container!(
        "extraEnv: [{name: HTTPS_PROXY, value: 'http://proxy:3128'}]",
        "env [HTTPS_PROXY] value",
        "http://proxy:3128"
    ),
    both!(
        "volumes: [{name: ca, configMap: {name: ca}}]",
        "volumes",
        "[{name: ca, configMap: {name: ca}}]"
    ),
    container!(
        "volumeMounts: [{name: ca, mountPath: /ca}]",
        "volumeMounts",
        "[{name: ca, mountPath: /ca}]"
    ),
    both!(
        "securityContext: {runAsUser: null, runAsGroup: null, fsGroup: 5}",
        "securityContext",
        "{runAsNonRoot: true, fsGroup: 5, seccompProfile: {type: RuntimeDefault}}"
    ),
    container!(
        "containerSecurityContext: {readOnlyRootFilesystem: false}",
        "securityContext readOnlyRootFilesystem",
        "false"
    ),
];

/// Values, and a part of what Helm says of them.
pub const REFUSED: &[(&str, &str)] = &[
    ("nodeSelectors: {}", "nodeSelectors"),
    ("image: {digest: 'sha256:1'}", "digest"),
    ("imagePullSecrets: [plain]", "imagePullSecrets"),
    ("global: {imagePullSecrets: [plain]}", "imagePullSecrets"),
    ("replicas: 0", "replicas"),
    ("extraArgs: --log=trace", "extraArgs"),
    ("extraEnv: [{value: x}]", "name"),
    ("podLabels: {a: 1}", "podLabels"),
    (
        "serviceAccount: {create: false}",
        "serviceAccount.name must name the ServiceAccount",
    ),
];
