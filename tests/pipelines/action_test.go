package pipelines

// action.yml, run by act as GitHub's runner runs it.

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"os"
)

const workflow = `on: push
jobs:
  release:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: ./
        id: it
        with:
%s
      - if: always()
        env:
          TOLD: ${{ steps.it.outputs.result }}/${{ steps.it.outputs.exit-code }}/${{ steps.it.outputs.message }}
        run: printf '%%s' "$TOLD" >"$STAGE/outputs"
`

// released is what came of one run of the action.
type released struct {
	log, outputs string
	calls        []string
	failed       bool
}

// release runs the action with these inputs, and exit codes of the stand-ins.
func release(t *testing.T, stage *stage, inputs, exits map[string]string) released {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(checkout, "action.yml"))
	if err != nil {
		t.Fatal(err)
	}
	stage.write("action.yml", string(text), 0o644)
	lines := ""
	for name, value := range inputs {
		lines += fmt.Sprintf("          %s: '%s'\n", name, value)
	}
	stage.write(".github/workflows/release.yml", fmt.Sprintf(workflow, strings.TrimSuffix(lines, "\n")), 0o644)
	for _, arguments := range [][]string{
		{"init", "-q"}, {"add", "."}, {"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "all"},
	} {
		git := exec.Command("git", arguments...)
		git.Dir = stage.folder
		if said, err := git.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", arguments, err, said)
		}
	}
	arguments := []string{"push", "-P", "ubuntu-latest=-self-hosted", "--env", "STAGE=" + stage.folder}
	for name, code := range exits {
		arguments = append(arguments, "--env", "EXIT_"+name+"="+code)
	}
	log, code := stage.run(nil, act, arguments...)
	return released{log, stage.read("outputs"), stage.calls(), code != 0}
}

func (stage *stage) plugin() string { return filepath.Join(stage.folder, "bin/kubectl-canary") }

func TestEveryExitCodeIsTheJobs(t *testing.T) {
	for code, result := range []string{"reached", "failed", "rolled-back", "paused", "timed-out", "superseded"} {
		stage := newStage(t)
		inputs := map[string]string{"rollout": "catalog", "namespace": "shop", "path": stage.plugin(), "fail-on-pause": "true"}
		came := release(t, stage, inputs, map[string]string{"wait": fmt.Sprint(code)})
		if want := fmt.Sprintf("%s/%d/wait ends with 83.1%% hits", result, code); came.outputs != want {
			t.Errorf("%d: outputs %q, not %q:\n%s", code, came.outputs, want, came.log)
		}
		if came.failed != (code != 0) {
			t.Errorf("%d: the job failed: %v:\n%s", code, came.failed, came.log)
		}
		if code != 0 && !strings.Contains(came.log, fmt.Sprintf("exit status %d\n", code)) {
			t.Errorf("%d: the step does not end with it:\n%s", code, came.log)
		}
		equal(t, fmt.Sprint(code), came.calls, []string{
			"kubectl-canary <wait> <catalog> <--for=promoted> <--timeout> <2h> <--fail-on-pause> <--namespace> <shop>",
			"kubectl-canary <why> <catalog> <--namespace> <shop>",
			"kubectl-canary <status> <catalog> <--namespace> <shop>",
		})
		_, summary, _ := strings.Cut(came.log, "Summary - ### catalog: "+result)
		for _, part := range []string{"wait ends with 83.1% hits", "why ends with", "status ends with"} {
			if !strings.Contains(summary, part) {
				t.Errorf("%d: %q is not in the summary: %s", code, part, came.log)
			}
		}
	}
}

func TestAnImageIsSetAndItsReleaseWaitedFor(t *testing.T) {
	stage := newStage(t)
	inputs := map[string]string{
		"rollout": "catalog", "path": stage.plugin(), "image": "registry/catalog:v42", "container": "app", "deployment": "web",
		"context": "prod", "wait-for": "finished", "timeout": "30m",
	}
	came := release(t, stage, inputs, nil)
	equal(t, "calls", came.calls[:2], []string{
		"kubectl <set> <image> <--context> <prod> <deployment/web> <app=registry/catalog:v42>",
		"kubectl-canary <wait> <catalog> <--for=finished> <--timeout> <30m> <--image> <registry/catalog:v42> <--context> <prod>",
	})
	refused := newStage(t)
	came = release(t, refused, map[string]string{"rollout": "catalog", "path": refused.plugin(), "image": "a"}, nil)
	if !came.failed || strings.Contains(strings.Join(came.calls, ""), "<wait>") || !strings.Contains(came.outputs, "image needs container") {
		t.Errorf("an image without a container: %v %q", came.calls, came.outputs)
	}
	inputs["path"] = refused.plugin()
	lost := newStage(t)
	inputs["path"] = lost.plugin()
	came = release(t, lost, inputs, map[string]string{"kubectl": "1"})
	if !came.failed || strings.Contains(strings.Join(came.calls, ""), "<wait>") {
		t.Errorf("an image that cannot be set: %v", came.calls)
	}
}

func TestAStepIsPromotedOnceTheReleaseIsPaused(t *testing.T) {
	stage := newStage(t)
	inputs := map[string]string{"rollout": "catalog", "path": stage.plugin(), "promote-step": "2", "reason": "tests passed", "revision": "5f7b"}
	came := release(t, stage, inputs, nil)
	equal(t, "calls", came.calls[:3], []string{
		"kubectl-canary <wait> <catalog> <--for=paused> <--timeout> <2h> <--revision> <5f7b>",
		"kubectl-canary <promote> <catalog> <--step> <2> <--reason> <tests passed>",
		"kubectl-canary <wait> <catalog> <--for=promoted> <--timeout> <2h> <--revision> <5f7b>",
	})
	for _, refuses := range []string{"wait", "promote"} {
		stage := newStage(t)
		inputs := map[string]string{"rollout": "catalog", "path": stage.plugin(), "promote-step": "2", "wait-for": "nothing"}
		came := release(t, stage, inputs, map[string]string{refuses: "5"})
		if !strings.HasPrefix(came.outputs, "superseded/5/"+refuses) {
			t.Errorf("%s: %q", refuses, came.outputs)
		}
	}
}

// packed makes a release of a plugin, as .ci/pack does, and says where it is and what its digest is.
func packed(t *testing.T, stage *stage) (string, string) {
	t.Helper()
	arch := runtime.GOARCH
	archive := "kubectl-canary-v9.9.9-" + runtime.GOOS + "-" + arch + ".tar.gz"
	folder := filepath.Join(stage.folder, "releases/v9.9.9")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	tar := exec.Command("tar", "-czf", filepath.Join(folder, archive), "-C", filepath.Join(stage.folder, "bin"), "kubectl-canary")
	if said, err := tar.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	bytes, err := os.ReadFile(filepath.Join(folder, archive))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(bytes)
	digest := hex.EncodeToString(sum[:])
	stage.write("releases/v9.9.9/SHA256SUMS", digest+"  "+archive+"\n", 0o644)
	// What runs is what was installed, not what stood there.
	if err := os.Remove(stage.plugin()); err != nil {
		t.Fatal(err)
	}
	return "file://" + filepath.Join(stage.folder, "releases"), digest
}

func TestAReleaseIsInstalledOnlyIfItsDigestIsRight(t *testing.T) {
	for _, way := range []string{"listed", "given", "wrong", "listed wrong", "missing"} {
		stage := newStage(t)
		address, digest := packed(t, stage)
		inputs := map[string]string{"rollout": "catalog", "version": "9.9.9", "download": address}
		switch way {
		case "given":
			inputs["sha256"] = digest
			stage.write("releases/v9.9.9/SHA256SUMS", "", 0o644)
		case "wrong":
			inputs["sha256"] = strings.Repeat("0", 64)
		case "listed wrong":
			list := stage.read("releases/v9.9.9/SHA256SUMS")
			stage.write("releases/v9.9.9/SHA256SUMS", strings.Replace(list, digest, strings.Repeat("0", 64), 1), 0o644)
		case "missing":
			inputs["version"] = "9.9.8"
		}
		came := release(t, stage, inputs, nil)
		if fine := way == "listed" || way == "given"; came.failed == fine || fine != (stage.read("calls") != "") {
			t.Errorf("%s: failed %v, calls %v:\n%s", way, came.failed, came.calls, came.log)
		}
	}
}

func TestWhatIsNotGivenIsAskedFor(t *testing.T) {
	stage := newStage(t)
	came := release(t, stage, map[string]string{"rollout": "catalog"}, nil)
	if !came.failed || !strings.Contains(came.log, "give version, a release to install kubectl-canary from, or path") {
		t.Error(came.log)
	}
}

func TestNoInputIsACommand(t *testing.T) {
	stage := newStage(t)
	inputs := map[string]string{"rollout": "a`touch $STAGE/pwned`$(touch $STAGE/pwned)\"; touch $STAGE/pwned; \"", "path": stage.plugin()}
	came := release(t, stage, inputs, nil)
	if stage.read("calls") == "" || !strings.Contains(came.calls[0], inputs["rollout"]) {
		t.Error(came.calls, came.log)
	}
	if _, err := os.Stat(filepath.Join(stage.folder, "pwned")); err == nil {
		t.Error("an input was carried out")
	}
}
