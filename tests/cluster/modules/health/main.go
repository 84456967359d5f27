// Says how other tools call the object on stdin: kstatus (Helm 4, kpt), Flux and Argo CD, by their own code.
//
// usage: health [FOLDER] <object.json
//
// FOLDER has the rules that users install, as in examples/gitops: argocd-cm.yaml and flux-kustomization.yaml. Without it
// each tool judges by what it knows itself.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// answer is what is printed.
type answer struct {
	Kstatus string `json:"kstatus"`
	Flux    string `json:"flux"`
	ArgoCD  string `json:"argocd"`
	// Messages of kstatus and of Argo CD, in this order.
	Messages []string `json:"messages"`
}

func main() {
	found, err := answered(os.Args[1:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "health:", err)
		os.Exit(1)
	}
}

func answered(arguments []string) (*answer, error) {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return nil, fmt.Errorf("reading stdin: %w", err)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(text); err != nil {
		return nil, fmt.Errorf("reading the object on stdin: %w", err)
	}
	rules := &rules{}
	if len(arguments) > 0 {
		if rules, err = readRules(arguments[0]); err != nil {
			return nil, err
		}
	}
	argocd, err := rules.argocd(object)
	if err != nil {
		return nil, err
	}
	kstatus, err := status.Compute(object)
	if err != nil {
		return nil, fmt.Errorf("kstatus: %w", err)
	}
	return &answer{
		Kstatus:  kstatus.Status.String(),
		Flux:     rules.flux(object),
		ArgoCD:   string(argocd.Status),
		Messages: []string{kstatus.Message, argocd.Message},
	}, nil
}
