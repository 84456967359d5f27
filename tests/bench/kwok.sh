# Where kwok is kept, apart from what the test cluster runs, and how it is built: sourced after paths.sh.
kwok_module=$checkout/tests/bench/modules/kwok
kwok=$cache/bin/kwok-$(cat "$kwok_module/go.mod" "$kwok_module/go.sum" | sha256sum | cut -c1-16)

build_kwok() {
  [ ! -e "$kwok/.complete" ] || return 0
  "$here/toolchain" go
  say "building kwok (the first time this takes minutes) ..."
  mkdir -p "$kwok"
  (cd "$kwok_module" && PATH=$cache/tools/bin:$PATH CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags="-s -w" -o "$kwok/" tool)
  # How a pod becomes Ready and goes: kwok's own fast stages.
  local stages
  stages=$(cd "$kwok_module" && PATH=$cache/tools/bin:$PATH go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
  awk 'FNR == 1 {print "---"} {print}' "$stages"/node/fast/node-initialize.yaml "$stages"/pod/fast/pod-{ready,delete}.yaml >"$kwok/stages.yaml"
  touch "$kwok/.complete"
}
