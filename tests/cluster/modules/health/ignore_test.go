package main

// What a release changes for its time in objects that Git has too: the rules of examples/gitops hide it, and a sync leaves it.

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	argodiff "github.com/argoproj/argo-cd/v3/util/argo/diff"
	"github.com/argoproj/argo-cd/v3/util/argo/normalizers"
	jsonpatch "github.com/evanphx/json-patch/v5"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/managedfields/managedfieldstest"
)

// shared is one object as it is and as Git has it.
type shared struct {
	moment    string
	live, git *unstructured.Unstructured
}

func (shared *shared) changed() bool {
	return !reflect.DeepEqual(shared.live.Object["spec"], shared.git.Object["spec"])
}

// allShared are those of all moments. Who set which field is told as the API server tells it: by its own code.
func allShared(t *testing.T) []*shared {
	t.Helper()
	var found []*shared
	for _, moment := range moments(t) {
		for _, git := range moment.git {
			same := func(live *unstructured.Unstructured) bool { return live.GetKind() == git.GetKind() }
			at := slices.IndexFunc(moment.live, same)
			if at < 0 {
				continue
			}
			one := &shared{moment.Name, moment.live[at], git}
			for _, field := range []string{"status", "metadata"} {
				delete(one.git.Object, field)
			}
			git.SetName(one.live.GetName())
			git.SetNamespace(one.live.GetNamespace())
			one.manage(t)
			found = append(found, one)
		}
	}
	return found
}

func (shared *shared) manage(t *testing.T) {
	t.Helper()
	fields := managedfieldstest.NewTestFieldManager(managedfields.NewDeducedTypeConverter(), shared.git.GroupVersionKind())
	if err := fields.Update(shared.git.DeepCopy(), "argocd-controller"); err != nil {
		t.Fatal(err)
	}
	if shared.changed() {
		if err := fields.Update(shared.live.DeepCopy(), "warmfront"); err != nil {
			t.Fatal(err)
		}
	}
	managed, ok := fields.Live().(*unstructured.Unstructured)
	if !ok {
		t.Fatalf("%T", fields.Live())
	}
	shared.live.SetManagedFields(managed.GetManagedFields())
	text, err := shared.git.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	shared.live.SetAnnotations(map[string]string{"kubectl.kubernetes.io/last-applied-configuration": string(text)})
}

func settings(t *testing.T, ignored []v1alpha1.ResourceIgnoreDifferences) argodiff.DiffConfig {
	t.Helper()
	config, err := argodiff.NewDiffConfigBuilder().
		WithDiffSettings(ignored, nil, false, normalizers.IgnoreNormalizerOpts{}).
		WithTracking("app.kubernetes.io/instance", "annotation").
		WithNoCache().
		Build()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func isOutOfSync(t *testing.T, config argodiff.DiffConfig, live, git *unstructured.Unstructured) bool {
	t.Helper()
	found, err := argodiff.StateDiff(live, git, config)
	if err != nil {
		t.Fatal(err)
	}
	return found.Modified
}

func ignoredByArgoCD(t *testing.T) []v1alpha1.ResourceIgnoreDifferences {
	t.Helper()
	var application v1alpha1.Application
	if err := readFile(examples, "argocd-application.yaml", &application); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(application.Spec.SyncPolicy.SyncOptions, "RespectIgnoreDifferences=true") {
		t.Error("a sync would take back what the rules hide")
	}
	return application.Spec.IgnoreDifferences
}

func TestArgoCDSeesNoDifferenceThatAReleaseMakes(t *testing.T) {
	with, without := settings(t, ignoredByArgoCD(t)), settings(t, nil)
	bare := map[string]bool{}
	for _, one := range allShared(t) {
		kind := one.git.GetKind()
		bare[kind] = bare[kind] || isOutOfSync(t, without, one.live, one.git)
		if isOutOfSync(t, with, one.live, one.git) {
			t.Errorf("%s: %s is OutOfSync", one.moment, kind)
		}
	}
	for _, kind := range []string{"HTTPRoute", "HorizontalPodAutoscaler", "ScaledObject"} {
		if !bare[kind] {
			t.Errorf("no release changes a %s: this test shows nothing of it", kind)
		}
	}
}

// What Argo CD sends with RespectIgnoreDifferences: Git's object, with what is ignored as it is in the cluster.
func TestASyncLeavesWhatAReleaseHasChanged(t *testing.T) {
	config, compared := settings(t, ignoredByArgoCD(t)), 0
	for _, one := range allShared(t) {
		if kind := one.git.GetKind(); kind == "Service" || !one.changed() {
			continue
		}
		normal, err := argodiff.Normalize([]*unstructured.Unstructured{one.live}, []*unstructured.Unstructured{one.git}, config)
		if err != nil {
			t.Fatal(err)
		}
		texts := make([][]byte, 3)
		for at, object := range []*unstructured.Unstructured{normal.Lives[0], one.live, normal.Targets[0]} {
			if texts[at], err = object.MarshalJSON(); err != nil {
				t.Fatal(err)
			}
		}
		patch, err := jsonpatch.CreateMergePatch(texts[0], texts[1])
		if err != nil {
			t.Fatal(err)
		}
		sent, err := jsonpatch.MergePatch(texts[2], patch)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, []json.RawMessage{sent})[0]; !reflect.DeepEqual(got.Object["spec"], one.live.Object["spec"]) {
			t.Errorf("%s: a sync sends %s", one.moment, sent)
		}
		compared++
	}
	if compared < 10 {
		t.Errorf("only %d objects were compared", compared)
	}
}

// Between releases nothing of ours is in the way: a change in Git is seen.
func TestArgoCDSeesAChangeInGitBetweenReleases(t *testing.T) {
	config, seen := settings(t, ignoredByArgoCD(t)), 0
	for _, one := range allShared(t) {
		if one.git.GetKind() != "HTTPRoute" || one.changed() {
			continue
		}
		changed := one.git.DeepCopy()
		rules, _, _ := unstructured.NestedSlice(changed.Object, "spec", "rules")
		rules[0].(map[string]any)["timeouts"] = map[string]any{"request": "9s"}
		set(rules, "spec", "rules")(changed)
		if !isOutOfSync(t, config, one.live, changed) {
			t.Errorf("%s: a changed rule in Git is not seen", one.moment)
		}
		seen++
	}
	if seen < 5 {
		t.Errorf("only %d routes were compared", seen)
	}
}

// pick follows a JSON pointer and hands the value, and what it stands in, to a function.
func pick(object any, pointer string, found func(within map[string]any, key string)) bool {
	parts := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for at, part := range parts {
		switch inner := object.(type) {
		case map[string]any:
			if _, ok := inner[part]; !ok {
				return false
			}
			if at == len(parts)-1 {
				found(inner, part)
				return true
			}
			object = inner[part]
		case []any:
			index, err := strconv.Atoi(part)
			if err != nil || index >= len(inner) {
				return false
			}
			object = inner[index]
		default:
			return false
		}
	}
	return false
}

// Flux takes the value at an ignored path from the cluster, in place of Git's: so both must have one.
func TestFluxLeavesWhatAReleaseHasChanged(t *testing.T) {
	var flux kustomization
	if err := readFile(examples, "flux-kustomization.yaml", &flux); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, one := range allShared(t) {
		live, git := one.live.DeepCopy().Object, one.git.DeepCopy().Object
		for _, rule := range flux.Spec.Ignore {
			if rule.Target.Kind != one.git.GetKind() || rule.Target.Name != one.git.GetName() {
				continue
			}
			for _, path := range rule.Paths {
				var taken any
				if pick(live, path, func(within map[string]any, key string) { taken = within[key] }) &&
					pick(git, path, func(within map[string]any, key string) {
						used[path] = used[path] || !reflect.DeepEqual(within[key], taken)
						within[key] = taken
					}) {
					continue
				}
				t.Errorf("%s: %s is not in both of the %ss", one.moment, path, rule.Target.Kind)
			}
		}
		if !reflect.DeepEqual(live["spec"], git["spec"]) {
			t.Errorf("%s: Flux would take back what is in the %s", one.moment, one.git.GetKind())
		}
	}
	for _, rule := range flux.Spec.Ignore {
		for _, path := range rule.Paths {
			if !used[path] {
				t.Errorf("no release changes %s: the rule is not needed", path)
			}
		}
	}
}
