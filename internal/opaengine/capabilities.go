// SPDX-License-Identifier: Apache-2.0

package opaengine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Capabilities of policies.
const (
	Strict = "strict" // computes, and nothing else
	All    = "all"    // everything that OPA has
)

// networked are the functions that reach other hosts. The rest of net.* only
// computes with addresses.
var networked = []string{"http.send", "net.lookup_ip_addr"}

// forbidden are further functions that policies lack under Strict: they read the
// environment of the process, or the policies themselves.
var forbidden = []string{"opa.runtime", "rego.parse_module", "rego.parse_modules", "trace"}

// capabilitiesOf returns what policies may use. Hosts that are named can be reached
// under Strict too.
func capabilitiesOf(mode string, hosts []string) *ast.Capabilities {
	caps := ast.CapabilitiesForThisVersion()
	if len(hosts) > 0 || mode != All {
		caps.AllowNet = append([]string{}, hosts...) // nil is every host
	}
	if mode == All {
		return caps
	}
	without := slices.Clone(forbidden)
	if len(hosts) == 0 {
		without = append(without, networked...)
	}
	caps.Builtins = slices.DeleteFunc(slices.Clone(caps.Builtins), func(b *ast.Builtin) bool { return slices.Contains(without, b.Name) })
	return caps
}

// hintFor says what to write where a policy calls a function that is left out.
func hintFor(message string) string {
	for _, name := range networked {
		if strings.Contains(message, name) {
			return "; policies reach no other host unless it is named: write 'allow_net <host>'"
		}
	}
	for _, name := range forbidden {
		if strings.Contains(message, name) {
			return "; 'capabilities strict' leaves it out, 'capabilities all' does not"
		}
	}
	return ""
}

// nondeterministic returns the functions in compiled modules whose result is not
// decided by the input and the data alone.
func nondeterministic(modules map[string]*ast.Module) []string {
	var names []string
	eachCall(modules, func(name string) {
		if b := ast.BuiltinMap[name]; b != nil && b.Nondeterministic && !slices.Contains(names, name) {
			names = append(names, name)
		}
	})
	slices.Sort(names)
	return names
}

// checkCalls refuses compiled modules that call what the capabilities leave out. The
// compiler has done so, unless it was one with other capabilities.
func checkCalls(modules map[string]*ast.Module, caps *ast.Capabilities) error {
	allowed := make(map[string]bool, len(caps.Builtins))
	for _, b := range caps.Builtins {
		allowed[b.Name] = true
	}
	var wrong string
	eachCall(modules, func(name string) {
		if ast.BuiltinMap[name] != nil && !allowed[name] {
			wrong = name
		}
	})
	if wrong != "" {
		return fmt.Errorf("a policy calls %s%s", wrong, hintFor(wrong))
	}
	return nil
}

func eachCall(modules map[string]*ast.Module, see func(name string)) {
	for _, module := range modules {
		ast.WalkTerms(module, func(t *ast.Term) bool {
			if call, ok := t.Value.(ast.Call); ok {
				see(call[0].String())
			}
			return false
		})
		ast.WalkExprs(module, func(e *ast.Expr) bool {
			if e.IsCall() {
				see(e.Operator().String())
			}
			return false
		})
	}
}
