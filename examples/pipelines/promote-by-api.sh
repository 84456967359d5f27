#!/usr/bin/env bash
# Promotes a release past a step with nothing but curl, and waits for the answer: promote-by-api.sh NAMESPACE ROLLOUT STEP [REASON]
# In a pod the address and the account are found by themselves; elsewhere set SERVER, TOKEN (or TOKEN_FILE) and CA, the path of the
# server's certificate authority. Exits with 0 if the promotion was carried out, else with 1.
set -euo pipefail
namespace=${1:?NAMESPACE} rollout=${2:?ROLLOUT} step=${3:?STEP} reason=${4:-asked by a pipeline}
account=/var/run/secrets/kubernetes.io/serviceaccount
server=${SERVER:-https://${KUBERNETES_SERVICE_HOST:-}:${KUBERNETES_SERVICE_PORT:-}}
token=${TOKEN:-$(cat "${TOKEN_FILE:-$account/token}")}
actions=$server/apis/warmfront.dev/v1alpha1/namespaces/$namespace/rolloutactions

# The token goes in by a file descriptor: other processes can read a command line.
ask() { curl -sS --fail-with-body --max-time 30 --cacert "${CA:-$account/ca.crt}" -H @<(printf 'Authorization: Bearer %s' "$token") "$@"; }
# The value of a key in a line of JSON, as the API server writes it.
value() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1; }
# The reason as it stands in JSON.
reason=${reason//\\/\\\\} reason=${reason//$'\n'/ }
reason=${reason//\"/\\\"}

body=$(printf '{"apiVersion":"warmfront.dev/v1alpha1","kind":"RolloutAction","metadata":{"generateName":"%s-"},"spec":{"rollout":"%s","action":"Promote","step":%d,"reason":"%s"}}' \
  "$rollout" "$rollout" "$step" "$reason")
made=$(ask -X POST -H 'Content-Type: application/json' --data "$body" "$actions?fieldManager=pipeline" | tr -d '\n') || {
  echo "error: asking $server to promote $rollout of $namespace: ${made:-no answer}" >&2
  exit 1
}
name=$(grep -o '"name": *"[^"]*"' <<<"$made" | head -n 1 | value name)
for _ in $(seq 60); do
  # An API server that does not answer now may answer the next time.
  answer=$(ask "$actions/$name" | tr -d '\n' | grep -o '"status": *{.*' || true)
  phase=$(value phase <<<"$answer")
  if [ -n "$phase" ]; then
    echo "$name: $phase: $(value message <<<"$answer")"
    [ "$phase" = Applied ] && exit 0 || exit 1
  fi
  sleep 1
done
echo "error: RolloutAction $name of $namespace has no answer after a minute: does the controller run, and does CanaryRollout $rollout exist?" >&2
exit 1
