# Certificates, store, API server and controller manager in a network namespace: sourced after paths.sh.
pki=$state/pki

# start NAME COMMAND...: in the namespace, in a session of its own, recorded by pid.
start() {
  local name=$1
  shift
  setsid nsenter --net="/run/netns/$cluster" "$@" >"$state/logs/$name.log" 2>&1 </dev/null 9>&- &
  echo $! >"$state/pids/$name"
}

# await WHAT SECONDS LOG COMMAND...: until the command succeeds.
await() {
  local what=$1 limit=$2 log=$3 until=$((SECONDS + $2))
  shift 3
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $until ]; then
      say "$what took longer than $limit s; the end of its log:"
      tail -20 "$state/logs/$log.log" >&2 || true
      exit 1
    fi
    sleep 0.2
  done
}

open_namespace() {
  ip netns add "$cluster"
  in_net ip link set lo up
  in_net ip address add $node_ip/32 dev lo
}

# Certificates of this cluster alone.
cert() { # cert NAME SUBJECT [SAN]
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$pki/$1.key" -out "$pki/$1.csr" -subj "$2" 2>/dev/null
  openssl x509 -req -in "$pki/$1.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 30 -out "$pki/$1.crt" \
    -extfile <(printf 'extendedKeyUsage=clientAuth,serverAuth\n%s' "${3:+subjectAltName=$3}") 2>/dev/null
}

kubeconfig() { # kubeconfig NAME FILE
  cat >"$2" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://$node_ip:6443", certificate-authority-data: $(base64 -w0 "$pki/ca.crt")}}]
users: [{name: u, user: {client-certificate-data: $(base64 -w0 "$pki/$1.crt"), client-key-data: $(base64 -w0 "$pki/$1.key")}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
YAML
}

make_authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -keyout "$pki/ca.key" -out "$pki/ca.crt" -subj "/CN=$cluster" 2>/dev/null
  openssl ecparam -name prime256v1 -genkey -noout -out "$pki/sa.key"
  cert apiserver /CN=kube-apiserver "IP:$node_ip,IP:10.96.0.1,IP:127.0.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
  cert admin /O=system:masters/CN=admin
  cert controller-manager /CN=system:kube-controller-manager
  cert scheduler /CN=system:kube-scheduler
  kubeconfig admin "$state/kubeconfig"
  for name in controller-manager scheduler; do kubeconfig $name "$pki/$name.kubeconfig"; done
}

start_store() {
  start etcd "$bin/etcd" --unsafe-no-fsync --data-dir "$state/etcd" --listen-client-urls http://127.0.0.1:2379 \
    --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 --log-level warn "$@"
}

# Before Kubernetes 1.36 the API server has the policies that hold Deployments only when it is told so.
# shellcheck disable=SC2034
hold_by_policy=(--feature-gates=MutatingAdmissionPolicy=true --runtime-config=admissionregistration.k8s.io/v1beta1=true)

# start_api_server USER [FLAG...]: every request of USER is written to logs/audit.log.
start_api_server() {
  local user=$1
  shift
  cat >"$state/audit.yaml" <<YAML
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  - {level: Metadata, users: ["$user"]}
  - {level: None}
YAML
  start kube-apiserver "$bin/kube-apiserver" --etcd-servers http://127.0.0.1:2379 --bind-address $node_ip --advertise-address $node_ip \
    --service-cluster-ip-range $service_range --authorization-mode Node,RBAC --client-ca-file "$pki/ca.crt" \
    --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" --cert-dir "$pki" \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$pki/sa.key" --service-account-signing-key-file "$pki/sa.key" \
    --kubelet-preferred-address-types InternalIP --kubelet-client-certificate "$pki/admin.crt" --kubelet-client-key "$pki/admin.key" \
    --kubelet-certificate-authority "$pki/ca.crt" --allow-privileged \
    --audit-policy-file "$state/audit.yaml" --audit-log-path "$state/logs/audit.log" "$@"
  await "the API server" 60 kube-apiserver kubectl get --raw /readyz
}

start_controller_manager() {
  start kube-controller-manager "$bin/kube-controller-manager" --kubeconfig "$pki/controller-manager.kubeconfig" --leader-elect=false \
    --service-account-private-key-file "$pki/sa.key" --root-ca-file "$pki/ca.crt" --use-service-account-credentials --bind-address 127.0.0.1 \
    --cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key" \
    --authentication-kubeconfig "$pki/controller-manager.kubeconfig" --authorization-kubeconfig "$pki/controller-manager.kubeconfig" "$@"
}
