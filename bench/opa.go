// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// rolesPolicy decides by scope, method and path.
const rolesPolicy = `package httpapi.authz

default allow := false

allow if {
	some scope in input.scopes
	some grant in data.grants[scope]
	grant.method == input.method
	grant.path == input.path[0]
}
`

// policies lists the rows that are about policies of OPA.
func (env *environment) policies(provider string, request func(uint64) request) ([]scenario, error) {
	policy, err := env.write("policy.rego", rolesPolicy)
	if err != nil {
		return nil, err
	}
	few, err := env.writeGrants(10)
	if err != nil {
		return nil, err
	}
	many, err := env.writeGrants(10_000)
	if err != nil {
		return nil, err
	}
	row := func(name, data, options string) scenario {
		return scenario{
			name: name, provider: provider, app: "\t\topa {\n\t\t\tpolicy " + policy + " " + data + "\n\t\t}\n",
			site: auth(bare) + "\tgluu_opa_pep {\n" + options + "\t}\n", request: request, status: 200,
		}
	}
	all := []scenario{
		row("OPA, embedded", few, ""),
		row("OPA, embedded, a rule decides", few, "\t\tdecision httpapi/authz/allow\n"),
		row("OPA, embedded, decision log", few, "\t\tdecision_log all\n"),
		row("OPA, embedded, 10,000 rules in data", many, ""),
	}
	all = append(all, scenario{name: "AuthZEN, a server", provider: provider, site: auth(bare) + "\tgluu_opa_pep {\n\t\tauthzen " + env.issuer.url + "\n\t}\n", request: request, status: 200})
	all[2].global = "\tlog decisions {\n\t\tinclude gluu.opa.decisions\n\t\toutput file " + filepath.Join(env.dir, "decisions.log") + "\n\t}\n"
	if env.opa != "" {
		all = append(all, scenario{name: "OPA, a server", provider: provider, site: auth(bare) + "\tgluu_opa_pep {\n\t\turl " + env.opa + "\n\t}\n", request: request, status: 200})
	}
	return all, nil
}

// writeGrants writes what each of n scopes may do, with those of the token among them.
func (env *environment) writeGrants(n int) (file string, err error) {
	type grant struct {
		Method string `json:"method"`
		Path   string `json:"path"`
	}
	grants := map[string][]grant{
		"todos:read":  {{"GET", "todos"}, {"GET", "labels"}},
		"todos:write": {{"POST", "todos"}, {"DELETE", "todos"}},
	}
	for i := len(grants); i < n; i++ {
		grants[fmt.Sprintf("scope-%d", i)] = []grant{{"GET", fmt.Sprintf("path-%d", i)}}
	}
	text, err := json.Marshal(map[string]any{"grants": grants})
	if err != nil {
		return "", err
	}
	return env.write(fmt.Sprintf("grants-%d.json", n), string(text))
}

func (env *environment) write(name, content string) (file string, err error) {
	file = filepath.Join(env.dir, name)
	return file, os.WriteFile(file, []byte(content), 0o600)
}

// startOPA starts an OPA server with the policy of the scenarios, off the core of the
// pair.
func (env *environment) startOPA(binary string) error {
	policy, err := env.write("policy.rego", rolesPolicy)
	if err != nil {
		return err
	}
	data, err := env.writeGrants(10)
	if err != nil {
		return err
	}
	addr := freeAddr()
	cmd := pinned(runtime.NumCPU()-1, binary, "run", "--server", "--disable-telemetry", "--log-level", "error", "--addr", addr, policy, data)
	if err := cmd.Start(); err != nil {
		return err
	}
	env.stopOPA = func() { end(cmd) }
	env.opa = "http://" + addr + "/v1/data/httpapi/authz"
	return waitFor(20*time.Second, func() bool { return listening(addr) })
}

func end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}
