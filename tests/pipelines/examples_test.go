package pipelines

// The examples for GitLab and Tekton, their scripts run with stand-ins.

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const examples = checkout + "/examples/pipelines/"

// documents are those of a YAML file; a key that this test does not know is an error.
func documents[T any](t *testing.T, name string) []T {
	t.Helper()
	file, err := os.Open(examples + name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	var found []T
	for {
		var one T
		if err := decoder.Decode(&one); err == io.EOF {
			return found
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		found = append(found, one)
	}
}

// job is one of GitLab's.
type job struct {
	Extends       string
	Stage         string
	Image         string
	When          string
	Timeout       string
	ResourceGroup string   `yaml:"resource_group"`
	BeforeScript  []string `yaml:"before_script"`
	Script        []string
	AfterScript   []string `yaml:"after_script"`
	AllowFailure  any      `yaml:"allow_failure"`
}

type gitlab struct {
	Stages    []string
	Variables map[string]string
	Canary    job `yaml:".canary"`
	Release   job
	Promote   job
	Finish    job
}

// play runs a job as GitLab's runner does: the scripts in one shell that ends at the first failure, what comes after in another.
func (file *gitlab) play(t *testing.T, job job, exits map[string]string) ([]string, int) {
	t.Helper()
	if job.Extends != ".canary" || !slices.Contains(file.Stages, job.Stage) {
		t.Errorf("%+v is no job of these stages", job)
	}
	stage := newStage(t)
	environment := map[string]string{"CI_REGISTRY_IMAGE": "registry/catalog", "CI_COMMIT_SHORT_SHA": "c0ffee", "GITLAB_USER_LOGIN": "eve", "CI_PIPELINE_URL": "https://gitlab/1"}
	// Variables may name others, as in a shell.
	for name, value := range file.Variables {
		environment[name] = os.Expand(value, func(other string) string { return environment[other] })
	}
	for name, code := range exits {
		environment["EXIT_"+name] = code
	}
	script := strings.Join(slices.Concat(file.Canary.BeforeScript, job.Script), "\n")
	said, code := stage.run(environment, "bash", "-eo", "pipefail", "-c", script)
	if strings.Contains(said, "unbound") || strings.Contains(said, "not found") {
		t.Error(said)
	}
	stage.run(environment, "bash", "-eo", "pipefail", "-c", strings.Join(file.Canary.AfterScript, "\n"))
	return stage.calls(), code
}

var afterwards = []string{"kubectl-canary <why> <catalog> <-n> <shop>", "kubectl-canary <status> <catalog> <-n> <shop>"}

func TestGitLab(t *testing.T) {
	file := documents[gitlab](t, "gitlab-ci.yml")[0]
	calls, code := file.play(t, file.Release, nil)
	equal(t, "release", calls, append([]string{
		"kubectl <set> <image> <deployment/catalog> <app=registry/catalog:c0ffee> <-n> <shop>",
		"kubectl-canary <wait> <catalog> <-n> <shop> <--for=paused> <--image> <registry/catalog:c0ffee> <--timeout> <2h>",
	}, afterwards...))
	if code != 0 {
		t.Error(code)
	}
	calls, _ = file.play(t, file.Promote, nil)
	equal(t, "promote", calls, append([]string{
		"kubectl-canary <promote> <catalog> <-n> <shop> <--step> <2> <--reason> <eve in https://gitlab/1>",
	}, afterwards...))
	if file.Promote.When != "manual" || file.Promote.AllowFailure != false {
		t.Error("nobody is asked")
	}
	for want := range 6 {
		calls, code = file.play(t, file.Finish, map[string]string{"wait": fmt.Sprint(want)})
		if code != want {
			t.Errorf("finish ends with %d, not %d", code, want)
		}
	}
	equal(t, "finish", calls, append([]string{
		"kubectl-canary <wait> <catalog> <-n> <shop> <--for=promoted> <--image> <registry/catalog:c0ffee> <--timeout> <2h> <--fail-on-pause>",
	}, afterwards...))
	if calls, code = file.play(t, file.Release, map[string]string{"kubectl": "1"}); code != 1 || strings.Contains(strings.Join(calls, ""), "<wait>") {
		t.Errorf("an image that cannot be set: %d, %v", code, calls)
	}
}

// named is a name with whatever is said of it.
type named struct {
	Name, Type, Description, Value string
	Default                        *string
}

// tekton is a Task or a Pipeline, with the fields that the example uses.
type tekton struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Spec       struct {
		Params, Results []named
		Steps           []struct {
			Name, Image, Script string
			Env                 []named
			SecurityContext     map[string]any `yaml:"securityContext"`
		}
		Tasks []struct {
			Name, Timeout string
			RunAfter      []string              `yaml:"runAfter"`
			TaskRef       struct{ Name string } `yaml:"taskRef"`
			Params        []named
		}
	}
}

var reference = regexp.MustCompile(`\$\(([^)]*)\)`)

// play runs the step of a Task with these parameters; a reference to what is not declared is an error.
func (task *tekton) play(t *testing.T, given map[string]string, exits map[string]string) (*stage, int) {
	t.Helper()
	stage := newStage(t)
	known := map[string]string{}
	for _, param := range task.Spec.Params {
		value, ok := given[param.Name]
		if !ok && param.Default != nil {
			value, ok = *param.Default, true
		}
		if !ok {
			t.Errorf("%s is not given", param.Name)
		}
		known["params."+param.Name] = value
		delete(given, param.Name)
	}
	for name := range given {
		t.Errorf("%s has no parameter %s", task.Metadata.Name, name)
	}
	for _, result := range task.Spec.Results {
		known["results."+result.Name+".path"] = filepath.Join(stage.folder, result.Name)
	}
	step := task.Spec.Steps[0]
	if strings.Contains(step.Script, "$(params") {
		t.Error("a parameter stands in the script: it could be a command")
	}
	environment := map[string]string{}
	for _, variable := range step.Env {
		environment[variable.Name] = reference.ReplaceAllStringFunc(variable.Value, func(found string) string {
			value, ok := known[found[2:len(found)-1]]
			if !ok {
				t.Errorf("%s is not declared", found)
			}
			return value
		})
	}
	for name, code := range exits {
		environment["EXIT_"+name] = code
	}
	stage.write("script", step.Script, 0o755)
	_, code := stage.run(environment, filepath.Join(stage.folder, "script"))
	return stage, code
}

func TestTekton(t *testing.T) {
	found := documents[tekton](t, "tekton.yaml")
	task, pipeline := &found[0], &found[1]
	if task.Kind != "Task" || pipeline.Kind != "Pipeline" || len(pipeline.Spec.Tasks) != 2 {
		t.Fatalf("%s and %s", task.Kind, pipeline.Kind)
	}
	calls := [][]string{{
		"kubectl <set> <image> <deployment/catalog> <app=registry/catalog:v42> <-n> <shop>",
		"kubectl-canary <wait> <catalog> <-n> <shop> <--for=paused> <--image> <registry/catalog:v42> <--timeout> <2h>",
		"kubectl-canary <why> <catalog> <-n> <shop>",
	}, {
		"kubectl-canary <promote> <catalog> <-n> <shop> <--step> <2> <--reason> <asked by Tekton>",
		"kubectl-canary <wait> <catalog> <-n> <shop> <--for=promoted> <--image> <registry/catalog:v42> <--timeout> <2h>",
		"kubectl-canary <why> <catalog> <-n> <shop>",
	}}
	for at, run := range pipeline.Spec.Tasks {
		if run.TaskRef.Name != task.Metadata.Name || run.Timeout == "" {
			t.Errorf("%+v", run)
		}
		for want := range 6 {
			given := map[string]string{}
			for _, param := range run.Params {
				given[param.Name] = strings.ReplaceAll(param.Value, "$(params.image)", "registry/catalog:v42")
			}
			stage, code := task.play(t, given, map[string]string{"wait": fmt.Sprint(want)})
			equal(t, run.Name, stage.calls(), calls[at])
			if code != want || stage.read("exit-code") != fmt.Sprint(want) {
				t.Errorf("%s: ends with %d and says %q, not %d", run.Name, code, stage.read("exit-code"), want)
			}
		}
	}
	if !slices.Equal(pipeline.Spec.Tasks[1].RunAfter, []string{pipeline.Spec.Tasks[0].Name}) {
		t.Error("both tasks at once")
	}
}

// What the example for GitHub gives the action, the action takes.
func TestGitHub(t *testing.T) {
	var flow struct {
		Jobs map[string]struct {
			Steps []struct {
				Uses string
				With map[string]any
			}
		}
	}
	var action struct {
		Inputs map[string]struct{ Required bool }
	}
	for path, into := range map[string]any{examples + "github.yml": &flow, checkout + "/action.yml": &action} {
		text, err := os.ReadFile(path)
		if err == nil {
			err = yaml.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	used := 0
	for _, step := range flow.Jobs["release"].Steps {
		if !strings.Contains(step.Uses, "/warmfront@") {
			continue
		}
		used++
		for name := range step.With {
			if _, ok := action.Inputs[name]; !ok {
				t.Errorf("the action has no input %s", name)
			}
		}
		for name, input := range action.Inputs {
			if input.Required && step.With[name] == nil {
				t.Errorf("%s is not given", name)
			}
		}
	}
	if used != 1 {
		t.Errorf("the action is used %d times", used)
	}
	page, err := os.ReadFile(checkout + "/docs/pipelines.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range action.Inputs {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/pipelines.md does not tell of the input %s", name)
		}
	}
}
