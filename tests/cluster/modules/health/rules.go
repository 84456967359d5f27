package main

// Rules for health that users install, run by the tools' own code: Argo CD's Lua in its sandbox, Flux's CEL in its evaluator.

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/gitops-engine/pkg/health"
	fluxstatus "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// rules are what users install.
type rules struct {
	overrides  lua.ResourceHealthOverrides
	evaluators map[schema.GroupKind]*cel.StatusEvaluator
}

// configMap is argocd-cm.
type configMap struct {
	Data map[string]string `json:"data"`
}

// kustomization is the part of a Flux Kustomization that is about health and drift.
type kustomization struct {
	Spec struct {
		HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
		Ignore           []ignoreRule                  `json:"ignore"`
	} `json:"spec"`
}

// ignoreRule names fields that Flux leaves as they are.
type ignoreRule struct {
	Paths  []string `json:"paths"`
	Target struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"target"`
}

// What a key of argocd-cm begins with; behind it stand group and kind.
const customization = "resource.customizations.health."

func readFile(folder, name string, into any) error {
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	return nil
}

// readRules reads the rules in a folder such as examples/gitops.
func readRules(folder string) (*rules, error) {
	var argo configMap
	if err := readFile(folder, "argocd-cm.yaml", &argo); err != nil {
		return nil, err
	}
	found := &rules{lua.ResourceHealthOverrides{}, map[schema.GroupKind]*cel.StatusEvaluator{}}
	for key, script := range argo.Data {
		group, kind, ok := strings.Cut(strings.TrimPrefix(key, customization), "_")
		if !strings.HasPrefix(key, customization) || !ok {
			return nil, fmt.Errorf("argocd-cm.yaml: %s is no key of Argo CD's for a health check", key)
		}
		found.overrides[group+"/"+kind] = v1alpha1.ResourceOverride{HealthLua: script}
	}
	var flux kustomization
	if err := readFile(folder, "flux-kustomization.yaml", &flux); err != nil {
		return nil, err
	}
	for _, check := range flux.Spec.HealthCheckExprs {
		evaluator, err := cel.NewStatusEvaluator(&check.HealthCheckExpressions)
		if err != nil {
			return nil, fmt.Errorf("flux-kustomization.yaml: %s: %w", check.Kind, err)
		}
		found.evaluators[schema.FromAPIVersionAndKind(check.APIVersion, check.Kind).GroupKind()] = evaluator
	}
	return found, nil
}

// argocd is what Argo CD calls an object.
func (rules *rules) argocd(object *unstructured.Unstructured) (*health.HealthStatus, error) {
	found, err := health.GetResourceHealth(object, rules.overrides)
	if err != nil {
		return nil, fmt.Errorf("Argo CD's rule: %w", err)
	}
	if found == nil {
		return nil, fmt.Errorf("Argo CD has no rule for %s", object.GroupVersionKind())
	}
	return found, nil
}

// flux is what Flux calls an object. What cannot be evaluated is unknown to it, and it asks again.
func (rules *rules) flux(object *unstructured.Unstructured) string {
	evaluator, ok := rules.evaluators[object.GroupVersionKind().GroupKind()]
	compute := func() (*fluxstatus.Result, error) { return evaluator.Evaluate(context.Background(), object) }
	if !ok {
		compute = func() (*fluxstatus.Result, error) { return fluxstatus.Compute(object) }
	}
	found, err := compute()
	if err != nil {
		return fluxstatus.UnknownStatus.String()
	}
	return found.Status.String()
}
