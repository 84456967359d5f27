package main

// The rules of examples/gitops on real objects at moments of releases; tests/sim writes them from testdata/moments.yaml.

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/argoproj/gitops-engine/pkg/health"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	checkout = "../../../.."
	examples = checkout + "/examples/gitops"
)

// moment is what is asked of the rules at one moment, and the objects then: as they are, and as Git has them.
type moment struct {
	Name string `json:"name"`
	Is   struct {
		ArgoCD []string `json:"argocd"`
		Flux   []string `json:"flux"`
	} `json:"is"`
	live, git []*unstructured.Unstructured
}

func moments(t *testing.T) []*moment {
	t.Helper()
	text, err := os.ReadFile("testdata/moments.yaml")
	var found []*moment
	if err == nil {
		err = yaml.Unmarshal(text, &found)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range found {
		text, err := os.ReadFile(filepath.Join("testdata/moments", one.Name+".json"))
		var objects struct{ Live, Git []json.RawMessage }
		if err == nil {
			err = json.Unmarshal(text, &objects)
		}
		if err != nil {
			t.Fatal(err)
		}
		one.live, one.git = read(t, objects.Live), read(t, objects.Git)
	}
	return found
}

func read(t *testing.T, texts []json.RawMessage) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	for _, text := range texts {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
	return objects
}

func installed(t *testing.T) *rules {
	t.Helper()
	found, err := readRules(examples)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func argocd(t *testing.T, rules *rules, object *unstructured.Unstructured) *health.HealthStatus {
	t.Helper()
	found, err := rules.argocd(object)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// released are the two objects that the rules are about, in the order of the answers.
func (moment *moment) released() []*unstructured.Unstructured {
	var found []*unstructured.Unstructured
	for _, kind := range []string{"CanaryRollout", "Deployment"} {
		for _, object := range moment.live {
			if object.GetKind() == kind {
				found = append(found, object)
			}
		}
	}
	return found
}

func TestEveryMomentIsCalledWhatItIs(t *testing.T) {
	rules := installed(t)
	for _, moment := range moments(t) {
		var argo, flux []string
		worst := health.HealthStatusHealthy
		for _, object := range moment.released() {
			found := argocd(t, rules, object)
			argo = append(argo, string(found.Status))
			flux = append(flux, rules.flux(object))
			if health.IsWorse(worst, found.Status) {
				worst = found.Status
			}
			if found.Status != health.HealthStatusHealthy && found.Message == "" {
				t.Errorf("%s: %s is %s and nobody is told why", moment.Name, object.GetKind(), found.Status)
			}
		}
		if len(argo) > 1 {
			argo = append(argo, string(worst))
		}
		if !slices.Equal(argo, moment.Is.ArgoCD) {
			t.Errorf("%s: Argo CD says %v, not %v", moment.Name, argo, moment.Is.ArgoCD)
		}
		if !slices.Equal(flux, moment.Is.Flux) {
			t.Errorf("%s: Flux says %v, not %v", moment.Name, flux, moment.Is.Flux)
		}
	}
}

// conditions are those of a rollout, by their types.
func conditions(object *unstructured.Unstructured) map[string]map[string]any {
	found := map[string]map[string]any{}
	all, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, one := range all {
		if one, ok := one.(map[string]any); ok {
			found[one["type"].(string)] = one
		}
	}
	return found
}

// allowed are the words that the definition of CanaryRollouts allows at a field of the status.
func allowed(t *testing.T, path ...string) []string {
	t.Helper()
	text, err := os.ReadFile(checkout + "/crds/canaryrollouts.yaml")
	var definition map[string]any
	if err == nil {
		err = yaml.Unmarshal(text, &definition)
	}
	if err != nil {
		t.Fatal(err)
	}
	versions, _, _ := unstructured.NestedSlice(definition, "spec", "versions")
	at := []string{"schema", "openAPIV3Schema", "properties", "status"}
	for _, field := range path {
		at = append(at, "properties", field)
	}
	field, ok, err := unstructured.NestedMap(versions[0].(map[string]any), at...)
	if !ok || err != nil {
		t.Fatalf("the definition has no %v", at)
	}
	found := enumerated(field)
	if len(found) == 0 {
		t.Fatalf("no words at %v: %v", path, field)
	}
	return found
}

// enumerated are the words of a schema, wherever they stand in it.
func enumerated(schema any) []string {
	var found []string
	switch schema := schema.(type) {
	case map[string]any:
		for key, inner := range schema {
			if key == "enum" {
				for _, word := range inner.([]any) {
					if word, ok := word.(string); ok && word != "Unknown" {
						found = append(found, word)
					}
				}
				continue
			}
			found = append(found, enumerated(inner)...)
		}
	case []any:
		for _, inner := range schema {
			found = append(found, enumerated(inner)...)
		}
	}
	return found
}

func TestEveryPhaseIsThere(t *testing.T) {
	seen := map[string]bool{}
	for _, moment := range moments(t) {
		phase, _, _ := unstructured.NestedString(moment.released()[0].Object, "status", "phase")
		seen[phase] = true
	}
	for _, phase := range allowed(t, "phase") {
		if !seen[phase] {
			t.Errorf("no moment is in the phase %s: add one to testdata/moments.yaml", phase)
		}
	}
}

// Of the judge's own pauses the simulation has no scenes: there another pause has its word changed, which is all that
// distinguishes them for other tools.
func TestEveryReasonToPauseIsSuspended(t *testing.T) {
	rules, seen := installed(t), map[string]bool{}
	var paused *unstructured.Unstructured
	for _, moment := range moments(t) {
		rollout := moment.released()[0]
		if condition := conditions(rollout)["Paused"]; condition["status"] == "True" {
			seen[condition["reason"].(string)] = true
		}
		if moment.Name == "paused-without-data" {
			paused = rollout
		}
	}
	byTheJudge := []string{"SharedIncident", "OriginLimit", "Inconclusive", "WarmingSlow"}
	for _, reason := range allowed(t, "run", "pausedFor") {
		if seen[reason] {
			continue
		}
		if !slices.Contains(byTheJudge, reason) {
			t.Errorf("no moment is paused for %s: add one to testdata/moments.yaml", reason)
			continue
		}
		text, _ := paused.MarshalJSON()
		other := read(t, []json.RawMessage{[]byte(strings.ReplaceAll(string(text), "NoData", reason))})[0]
		if found := argocd(t, rules, other); found.Status != health.HealthStatusSuspended {
			t.Errorf("%s: Argo CD says %s", reason, found.Status)
		}
		if found := rules.flux(other); found != "InProgress" {
			t.Errorf("%s: Flux says %s", reason, found)
		}
	}
}

// Whatever stands in a Deployment that is not ours or not paused, the rules say what the tools' own say.
func TestAnyOtherDeploymentIsCalledWhatTheToolsCallIt(t *testing.T) {
	rules, own := installed(t), &rules{}
	compared := 0
	for _, moment := range moments(t) {
		for _, object := range moment.released() {
			if object.GetKind() != "Deployment" {
				continue
			}
			for _, change := range changes {
				other := object.DeepCopy()
				// The simulation leaves out what Kubernetes says in words of a Deployment that is whole.
				set(words, "status", "conditions")(other)
				change(other)
				paused, _, _ := unstructured.NestedBool(other.Object, "spec", "paused")
				if _, ours := other.GetLabels()["warmfront.dev/rollout"]; paused && ours {
					continue
				}
				compared++
				// Flux asks again about what cannot be evaluated, as about what goes on.
				if want, found := own.flux(other), strings.ReplaceAll(rules.flux(other), "Unknown", "InProgress"); !paused && want != found {
					text, _ := other.MarshalJSON()
					t.Errorf("%s: Flux says %s, not %s: %s", moment.Name, found, want, text)
				}
				want, found := argocd(t, own, other).Status, argocd(t, rules, other).Status
				if want != found {
					text, _ := other.MarshalJSON()
					t.Errorf("%s: %s, not %s: %s", moment.Name, found, want, text)
				}
			}
		}
	}
	if compared < 100 {
		t.Errorf("only %d Deployments were compared", compared)
	}
}

func set(value any, at ...string) func(*unstructured.Unstructured) {
	return func(object *unstructured.Unstructured) {
		if err := unstructured.SetNestedField(object.Object, value, at...); err != nil {
			panic(err)
		}
	}
}

func without(at ...string) func(*unstructured.Unstructured) {
	return func(object *unstructured.Unstructured) { unstructured.RemoveNestedField(object.Object, at...) }
}

var words = []any{
	map[string]any{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
	map[string]any{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
}

var changes = []func(*unstructured.Unstructured){
	func(*unstructured.Unstructured) {},
	set(false, "spec", "paused"),
	without("metadata", "labels"),
	func(object *unstructured.Unstructured) {
		set(false, "spec", "paused")(object)
		set(int64(9), "spec", "replicas")(object)
	},
	func(object *unstructured.Unstructured) {
		set(false, "spec", "paused")(object)
		set(int64(9_000), "metadata", "generation")(object)
	},
	func(object *unstructured.Unstructured) {
		set(false, "spec", "paused")(object)
		set(int64(1), "status", "availableReplicas")(object)
	},
	func(object *unstructured.Unstructured) {
		set(false, "spec", "paused")(object)
		set(int64(9), "status", "replicas")(object)
	},
	func(object *unstructured.Unstructured) {
		set(false, "spec", "paused")(object)
		set([]any{map[string]any{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}}, "status", "conditions")(object)
	},
	func(object *unstructured.Unstructured) {
		set(false, "spec", "paused")(object)
		without("status")(object)
	},
	func(object *unstructured.Unstructured) {
		set(false, "spec", "paused")(object)
		set(int64(0), "spec", "replicas")(object)
		set(map[string]any{}, "status")(object)
	},
}

// What the engine's own tests have kept of every version is taken without an error, whole statuses as they are stored.
func TestKeptStatusesAreTaken(t *testing.T) {
	rules := installed(t)
	files, err := filepath.Glob(checkout + "/src/engine/tests/golden/*/*.json")
	if err != nil || len(files) < 16 {
		t.Fatalf("%d kept statuses: %v", len(files), err)
	}
	calls := map[string]string{
		"rolled-back": "Degraded/Failed", "succeeded": "Healthy/Current", "idle": "Healthy/Current", "shifting": "Progressing/InProgress",
		"baking": "Progressing/InProgress", "paused-by-a-person": "Suspended/InProgress", "gate-is-silent": "Suspended/InProgress",
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		whole := `{"apiVersion":"warmfront.dev/v1alpha1","kind":"CanaryRollout","metadata":{"name":"catalog","generation":1},"status":` + string(text) + `}`
		object := read(t, []json.RawMessage{[]byte(whole)})[0]
		found := string(argocd(t, rules, object).Status) + "/" + rules.flux(object)
		want, ok := calls[strings.TrimSuffix(filepath.Base(file), ".json")]
		if ok && found != want {
			t.Errorf("%s: %s, not %s", file, found, want)
		}
	}
}
