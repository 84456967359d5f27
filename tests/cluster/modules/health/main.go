// Says how other tools call the object on stdin: kstatus (Flux, Helm 4, kpt) and Argo CD, by their own rules.
//
// usage: health [RULE.lua] <object.json
//
// RULE.lua is a health check as Argo CD runs it: it finds the object in `obj` and returns a table with `status`.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/argoproj/gitops-engine/pkg/health"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// answer is what is printed.
type answer struct {
	Kstatus string `json:"kstatus"`
	ArgoCD  string `json:"argocd"`
	// Messages of the two, in this order.
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
	var rule health.HealthOverride
	if len(arguments) > 0 {
		script, err := os.ReadFile(arguments[0])
		if err != nil {
			return nil, err
		}
		rule = luaRule(script)
	}
	argo, err := health.GetResourceHealth(object, rule)
	if err != nil {
		return nil, fmt.Errorf("Argo CD's rule: %w", err)
	}
	if argo == nil {
		return nil, fmt.Errorf("Argo CD has no rule for %s", object.GroupVersionKind())
	}
	kstatus, err := status.Compute(object)
	if err != nil {
		return nil, fmt.Errorf("kstatus: %w", err)
	}
	return &answer{kstatus.Status.String(), string(argo.Status), []string{kstatus.Message, argo.Message}}, nil
}

// luaRule is a script that decides in place of the rule for the kind.
type luaRule string

// GetResourceHealth runs the script.
func (rule luaRule) GetResourceHealth(object *unstructured.Unstructured) (*health.HealthStatus, error) {
	state := lua.NewState()
	defer state.Close()
	state.SetGlobal("obj", luaValue(state, object.Object))
	if err := state.DoString(string(rule)); err != nil {
		return nil, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return nil, fmt.Errorf("the script returned %s, not a table", state.Get(-1).Type())
	}
	return &health.HealthStatus{
		Status:  health.HealthStatusCode(lua.LVAsString(table.RawGetString("status"))),
		Message: lua.LVAsString(table.RawGetString("message")),
	}, nil
}

func luaValue(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case string:
		return lua.LString(value)
	case []any:
		table := state.NewTable()
		for _, item := range value {
			table.Append(luaValue(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, item := range value {
			table.RawSetString(key, luaValue(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}
