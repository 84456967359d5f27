// Package pipelines tries action.yml and the examples of pipelines as their runners would.
package pipelines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const checkout = "../.."

// act runs jobs of GitHub Actions.
var act string

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "act")
	if err != nil {
		panic(err)
	}
	act = filepath.Join(folder, "act")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", act, "github.com/nektos/act")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building act: %v\n%s", err, said)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(folder)
	os.Exit(code)
}

// stage is a folder in which something runs, with stand-ins for kubectl and the plugin that write their calls down.
type stage struct {
	t      *testing.T
	folder string
}

// standIn ends with the code in EXIT_wait, EXIT_promote and so on.
const standIn = `#!/usr/bin/env bash
name=$(basename "$0")
if [ "$name" = kubectl ] && [ "$1" = canary ]; then name=kubectl-canary; shift; fi
{ printf '%s' "$name"; printf ' <%s>' "$@"; echo; } >>"$STAGE/calls"
if [ "$name" = kubectl ]; then echo "deployment.apps/catalog image updated"; exit "${EXIT_kubectl:-0}"; fi
echo "$1 begins"
echo "$1 ends with 83.1% hits"
code=EXIT_$1
exit "${!code:-0}"
`

func newStage(t *testing.T) *stage {
	t.Helper()
	stage := &stage{t, t.TempDir()}
	for _, name := range []string{"kubectl", "kubectl-canary"} {
		stage.write("bin/"+name, standIn, 0o755)
	}
	return stage
}

func (stage *stage) write(name, text string, mode os.FileMode) {
	stage.t.Helper()
	path := filepath.Join(stage.folder, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), mode)
	}
	if err != nil {
		stage.t.Fatal(err)
	}
}

func (stage *stage) read(name string) string {
	text, err := os.ReadFile(filepath.Join(stage.folder, name))
	if err != nil && !os.IsNotExist(err) {
		stage.t.Fatal(err)
	}
	return string(text)
}

// calls are those of the stand-ins, in order, each argument in angle brackets.
func (stage *stage) calls() []string {
	return strings.Split(strings.TrimSuffix(stage.read("calls"), "\n"), "\n")
}

// run starts a program with the stand-ins first on its path.
func (stage *stage) run(environment map[string]string, program string, arguments ...string) (string, int) {
	stage.t.Helper()
	command := exec.Command(program, arguments...)
	command.Dir = stage.folder
	command.Env = append(os.Environ(), "PATH="+filepath.Join(stage.folder, "bin")+":"+os.Getenv("PATH"), "STAGE="+stage.folder, "HOME="+stage.folder)
	for name, value := range environment {
		command.Env = append(command.Env, name+"="+value)
	}
	said, err := command.CombinedOutput()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		stage.t.Fatal(err)
	}
	return string(said), command.ProcessState.ExitCode()
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\n  %s\nnot\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}
