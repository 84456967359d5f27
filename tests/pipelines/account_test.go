package pipelines

// Promotion without the plugin, and what the account of a pipeline may.

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// An API server that has one kind: what was asked of it, and the answer that an action gets.
type apiServer struct {
	*httptest.Server
	asked []string
	made  map[string]any
	phase string
}

func serve(t *testing.T, phase string) *apiServer {
	t.Helper()
	server := &apiServer{phase: phase}
	const path = "/apis/warmfront.dev/v1alpha1/namespaces/shop/rolloutactions"
	looks := 0
	server.Server = httptest.NewTLSServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		server.asked = append(server.asked, request.Method+" "+request.URL.String()+" "+request.Header.Get("Authorization"))
		object := map[string]any{"apiVersion": "warmfront.dev/v1alpha1", "metadata": map[string]any{
			"generateName": "catalog-", "name": "catalog-x7", "managedFields": []any{map[string]any{"subresource": "status", "fieldsV1": map[string]any{"f:status": map[string]any{"f:phase": map[string]any{}}}}},
		}}
		switch {
		case phase == "Forbidden":
			answer.WriteHeader(http.StatusForbidden)
			object = map[string]any{"kind": "Status", "message": "rolloutactions is forbidden"}
		case request.Method == http.MethodPost && request.URL.Path == path:
			body, _ := io.ReadAll(request.Body)
			if err := json.Unmarshal(body, &server.made); err != nil {
				t.Errorf("%v: %s", err, body)
			}
			answer.WriteHeader(http.StatusCreated)
		case request.URL.Path == path+"/catalog-x7":
			if looks++; looks > 1 {
				object["status"] = map[string]any{"phase": phase, "reason": phase, "message": "that is why"}
			}
		default:
			answer.WriteHeader(http.StatusNotFound)
		}
		_ = json.NewEncoder(answer).Encode(object)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestPromotionByTheAPI(t *testing.T) {
	script, err := filepath.Abs(examples + "promote-by-api.sh")
	if err != nil {
		t.Fatal(err)
	}
	for phase, says := range map[string]string{"Applied": "that is why", "Expired": "that is why", "Forbidden": "rolloutactions is forbidden"} {
		server, stage := serve(t, phase), newStage(t)
		stage.write("ca", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})), 0o644)
		environment := map[string]string{"SERVER": server.URL, "TOKEN": "secret", "CA": filepath.Join(stage.folder, "ca")}
		said, code := stage.run(environment, script, "shop", "catalog", "2", `"smoke" \ tests`)
		if (code == 0) != (phase == "Applied") || !strings.Contains(said, says) {
			t.Errorf("%s: %d: %s", phase, code, said)
		}
		if phase != "Forbidden" {
			want := map[string]any{"rollout": "catalog", "action": "Promote", "step": 2.0, "reason": `"smoke" \ tests`}
			if got := fmt.Sprint(server.made["spec"]); got != fmt.Sprint(want) {
				t.Errorf("%s was asked for, not %v", got, want)
			}
		}
		for _, asked := range server.asked {
			if !strings.HasSuffix(asked, " Bearer secret") {
				t.Errorf("%s: without the token", asked)
			}
		}
	}
}

// rule is one of RBAC's.
type rule struct {
	APIGroups     []string `yaml:"apiGroups"`
	Resources     []string
	ResourceNames []string `yaml:"resourceNames"`
	Verbs         []string
}

type account struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name, Namespace string }
	Rules      []rule
	RoleRef    map[string]string `yaml:"roleRef"`
	Subjects   []map[string]string
}

// What the chart grants to people: the rules of its ClusterRoles are one line each.
func grantedByTheChart(t *testing.T) []rule {
	t.Helper()
	text, err := os.ReadFile(checkout + "/charts/warmfront/templates/rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var found []rule
	for _, line := range regexp.MustCompile(`(?m)^ *- (\{apiGroups: \[warmfront\.dev\].*\})$`).FindAllSubmatch(text, -1) {
		var one rule
		if err := yaml.Unmarshal(line[1], &one); err != nil {
			t.Fatalf("%s: %v", line[1], err)
		}
		found = append(found, one)
	}
	return found
}

func TestThePipelinesAccountMayNoMoreThanTheChartGrants(t *testing.T) {
	chart := grantedByTheChart(t)
	grants := func(resource, verb string) bool {
		return slices.ContainsFunc(chart, func(rule rule) bool {
			return slices.Contains(rule.Resources, resource) && slices.Contains(rule.Verbs, verb)
		})
	}
	own := map[string][]string{}
	for _, object := range documents[account](t, "rbac.yaml") {
		for _, rule := range object.Rules {
			for _, resource := range rule.Resources {
				own[resource] = append(own[resource], rule.Verbs...)
				for _, verb := range rule.Verbs {
					if rule.APIGroups[0] == "warmfront.dev" && !grants(resource, verb) {
						t.Errorf("the chart grants nobody %s of %s", verb, resource)
					}
				}
				if rule.APIGroups[0] != "warmfront.dev" && len(rule.ResourceNames) != 1 {
					t.Errorf("all %s, not one", resource)
				}
			}
		}
	}
	want := map[string][]string{"canaryrollouts": {"get", "list", "watch"}, "rolloutactions": {"get", "create"}, "deployments": {"get", "patch"}}
	if fmt.Sprint(own) != fmt.Sprint(want) {
		t.Errorf("%v, not %v", own, want)
	}
}

func TestTheActionForKubectlIsOneThatTheDefinitionTakes(t *testing.T) {
	action := documents[map[string]any](t, "promote.yaml")[0]
	text, err := os.ReadFile(checkout + "/crds/rolloutactions.yaml")
	var definition struct {
		Spec struct {
			Versions []struct {
				Name   string
				Schema struct {
					OpenAPIV3Schema struct {
						Properties struct {
							Spec struct {
								Properties map[string]struct{ Enum []string }
								Required   []string
							}
						}
					} `yaml:"openAPIV3Schema"`
				}
			}
		}
	}
	if err == nil {
		err = yaml.Unmarshal(text, &definition)
	}
	if err != nil {
		t.Fatal(err)
	}
	version := definition.Spec.Versions[0]
	schema := version.Schema.OpenAPIV3Schema.Properties.Spec
	spec := action["spec"].(map[string]any)
	if action["apiVersion"] != "warmfront.dev/"+version.Name || action["kind"] != "RolloutAction" {
		t.Error(action)
	}
	for field := range spec {
		if _, ok := schema.Properties[field]; !ok {
			t.Errorf("the definition has no %s", field)
		}
	}
	for _, field := range schema.Required {
		if spec[field] == nil {
			t.Errorf("%s is missing", field)
		}
	}
	if !slices.Contains(schema.Properties["action"].Enum, spec["action"].(string)) {
		t.Errorf("%s is no action", spec["action"])
	}
}
