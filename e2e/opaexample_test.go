// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/testenv"
)

// freePort is a port on the loopback address.
func freePort(t *testing.T) string {
	t.Helper()
	address, err := testenv.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// opaExample is a gateway with the configuration of an example, and what it listens on.
type opaExample struct {
	*harness.Gateway
	issuer, gateway string // ports
}

// startOPAExample runs an example as it stands, but for its ports.
func startOPAExample(t *testing.T, caddyfile string, env map[string]string, files map[string]string) *opaExample {
	t.Helper()
	e := &opaExample{issuer: freePort(t), gateway: freePort(t)}
	all := map[string]string{
		"ADDRESS": "http://localhost:" + e.gateway, "ISSUER": "http://localhost:" + e.issuer, "API_PORT": freePort(t), "STATE": t.TempDir(),
	}
	maps.Copy(all, env)
	e.Gateway = harness.StartGateway(t, harness.GatewayConfig{Caddyfile: caddyfile, Env: all, Files: files})
	harness.Eventually(t, patience, func() string { // the gateway knows the authorization server
		if answer := e.status(t, "GET", "/", "made-up"); answer.StatusCode != http.StatusUnauthorized {
			return answer.Status
		}
		return ""
	})
	return e
}

// token gets a token as the page of the example says.
func (e *opaExample) token(t *testing.T, client, secret string) string {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://localhost:"+e.issuer+"/oauth2/token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(client, secret)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || body.Token == "" {
		t.Fatalf("no token for %s: %s, %v", client, answer.Status, err)
	}
	return body.Token
}

// status sends a request and returns the answer, whose body is closed.
func (e *opaExample) status(t *testing.T, method, path, token string) *http.Response {
	t.Helper()
	request, err := http.NewRequest(method, "http://localhost:"+e.gateway+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer
}

var (
	shellBlock    = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	statusComment = regexp.MustCompile(`(?m)# (\d{3})$`)
	statusLine    = regexp.MustCompile(`HTTP/1\.1 (\d{3}) `)
)

// runPage pastes the commands below "Try it" into a shell, and compares the answers
// with the statuses in their comments.
func (e *opaExample) runPage(t *testing.T, page, gateway, issuer string) {
	t.Helper()
	for _, tool := range []string{"sh", "curl", "sed"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT TESTED: the commands of %s: they need %s, which is missing", page, tool)
		}
	}
	_, rest, found := strings.Cut(readFile(t, page), "## Try it\n")
	block := shellBlock.FindStringSubmatch(rest)
	if !found || block == nil {
		t.Fatalf("%s has no commands below 'Try it'", page)
	}
	script := strings.NewReplacer("localhost:"+gateway, "localhost:"+e.gateway, "localhost:"+issuer, "localhost:"+e.issuer).Replace(block[1])
	shell := exec.CommandContext(t.Context(), "sh", "-e")
	shell.Stdin = strings.NewReader(script)
	output, err := shell.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, output)
	}
	want, got := firstGroups(statusComment, block[1]), firstGroups(statusLine, string(output))
	if len(want) < 3 || !slices.Equal(got, want) {
		t.Errorf("the commands of %s are answered %v, its comments say %v\n%s", page, got, want, output)
	}
}

func firstGroups(expression *regexp.Regexp, text string) (groups []string) {
	for _, match := range expression.FindAllStringSubmatch(text, -1) {
		groups = append(groups, match[1])
	}
	return groups
}

// TestExampleOPA does what examples/opa tells its reader to do, and gives a client a
// role while the gateway runs.
func TestExampleOPA(t *testing.T) {
	t.Parallel()
	data := readFile(t, "examples/opa/policies/data.json")
	policies := t.TempDir()
	for name, content := range map[string]string{"data.json": data, "todos.rego": readFile(t, "examples/opa/policies/todos.rego")} {
		if err := os.WriteFile(filepath.Join(policies, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	caddyfile := strings.Replace(readFile(t, "examples/opa/Caddyfile"), "policies/*", policies+"/*", 1)
	e := startOPAExample(t, caddyfile, nil, nil)
	e.runPage(t, "examples/opa/README.md", "8095", "8096")

	token := e.token(t, "reports", "reports-secret")
	more := strings.Replace(data, `"blue": {`, `"blue": {"reports": "reader", `, 1)
	if err := os.WriteFile(filepath.Join(policies, "data.json"), []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, patience, func() string {
		if answer := e.status(t, "GET", "/teams/blue/todos", token); answer.StatusCode != http.StatusOK {
			return answer.Status
		}
		return ""
	})
}

// Files beside a Caddyfile are found wherever Caddy is started.
func TestPoliciesStandBesideTheCaddyfile(t *testing.T) {
	t.Parallel()
	output, ok := harness.RunCaddy(t, harness.GatewayConfig{}, "adapt", "--config", filepath.Join(harness.Root(), "examples", "opa", "Caddyfile"))
	if want := filepath.Join(harness.Root(), "examples", "opa", "policies", "*"); !ok || !strings.Contains(output, `"`+want+`"`) {
		t.Errorf("%s is not in %s", want, output)
	}
}

// TestExampleOPAServer does what examples/opa-server tells its reader to do, with a
// real server, which then ends.
func TestExampleOPAServer(t *testing.T) {
	t.Parallel()
	opa := harness.StartOPA(t, "examples/opa-server/policy.rego")
	e := startOPAExample(t, readFile(t, "examples/opa-server/Caddyfile"), map[string]string{"OPA_URL": "http://" + opa.Addr + "/v1/data/httpapi/authz"}, nil)
	e.runPage(t, "examples/opa-server/README.md", "8097", "8098")

	token := e.token(t, "reports", "reports-secret")
	if err := opa.Kill(); err != nil {
		t.Fatal(err)
	}
	if answer := e.status(t, "GET", "/reports/2026", token); answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("without the server: got %s, Retry-After %q, want 503 with one", answer.Status, answer.Header.Get("Retry-After"))
	}
}

// The policy that Gluu Gateway documents decides unchanged, at a real server and
// inside the gateway: by method, path and client.
func TestTheDocumentedPolicyOfGluuGateway(t *testing.T) {
	t.Parallel()
	block := regexp.MustCompile("(?s)```rego\n(package httpapi\\.authz\n\nimport input\n.*?)```").FindStringSubmatch(readFile(t, "docs/opa.md"))
	if block == nil {
		t.Fatal("docs/opa.md does not show the policy")
	}
	caddyfile := strings.Replace(readFile(t, "examples/opa-server/Caddyfile"), "client editor {", "client 0123456789 {", 1)
	for name, start := range map[string]func(t *testing.T) *opaExample{
		"server": func(t *testing.T) *opaExample {
			file := filepath.Join(t.TempDir(), "policy.rego")
			if err := os.WriteFile(file, []byte(block[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			opa := harness.StartOPA(t, "--v0-compatible", file)
			return startOPAExample(t, caddyfile, map[string]string{"OPA_URL": "http://" + opa.Addr + "/v1/data/httpapi/authz"}, nil)
		},
		"embedded": func(t *testing.T) *opaExample {
			inside := regexp.MustCompile(`url \{\$OPA_URL:[^}]*\}`).ReplaceAllString(caddyfile, "decision httpapi/authz")
			inside = strings.Replace(inside, "\tgluu {\n", "\tgluu {\n\t\topa {\n\t\t\tpolicy policy.rego\n\t\t}\n", 1)
			return startOPAExample(t, inside, nil, map[string]string{"policy.rego": block[1]})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t)
			tokens := map[string]string{"0123456789": e.token(t, "0123456789", "editor-secret"), "reports": e.token(t, "reports", "reports-secret")}
			for _, test := range []struct {
				method, path, client string
				want                 int
			}{
				{"GET", "/folder/command", "0123456789", 200},
				{"POST", "/folder/command", "0123456789", 403},
				{"GET", "/folder", "0123456789", 403},
				{"GET", "/folder/command", "reports", 403},
			} {
				if answer := e.status(t, test.method, test.path, tokens[test.client]); answer.StatusCode != test.want {
					t.Errorf("%s %s of %s: got %s, want %d", test.method, test.path, test.client, answer.Status, test.want)
				}
			}
		})
	}
}

// The server that the tests start has the version of the engine inside the gateway.
func TestTheServerHasTheVersionOfTheEngine(t *testing.T) {
	t.Parallel()
	version := regexp.MustCompile(`github\.com/open-policy-agent/opa (v[0-9.]+)`)
	inside, outside := version.FindStringSubmatch(readFile(t, "go.mod")), version.FindStringSubmatch(readFile(t, "tools/opa/go.mod"))
	if inside == nil || outside == nil || inside[1] != outside[1] {
		t.Errorf("go.mod has %v, tools/opa/go.mod %v", inside, outside)
	}
}

// A policy decides by the operation of the API's document, at a real server and inside
// the gateway.
func TestAPolicyDecidesByTheOperation(t *testing.T) {
	t.Parallel()
	const policy = "package httpapi.authz\n\ndefault allow := false\n\nallow if input.operation == \"getReport\"\n"
	const document = "openapi: 3.0.3\ninfo: {title: Reports, version: '1'}\npaths:\n  /reports/{year}:\n    get: {operationId: getReport}\n    delete: {operationId: deleteReport}\n"
	address := regexp.MustCompile(`(\turl \{\$OPA_URL:[^}]*\})`)
	caddyfile := address.ReplaceAllString(readFile(t, "examples/opa-server/Caddyfile"), "$1\n\t\topenapi openapi.yaml")
	for name, start := range map[string]func(t *testing.T) *opaExample{
		"server": func(t *testing.T) *opaExample {
			file := filepath.Join(t.TempDir(), "policy.rego")
			if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
				t.Fatal(err)
			}
			opa := harness.StartOPA(t, file)
			return startOPAExample(t, caddyfile, map[string]string{"OPA_URL": "http://" + opa.Addr + "/v1/data/httpapi/authz"}, map[string]string{"openapi.yaml": document})
		},
		"embedded": func(t *testing.T) *opaExample {
			inside := address.ReplaceAllString(caddyfile, "decision httpapi/authz")
			inside = strings.Replace(inside, "\tgluu {\n", "\tgluu {\n\t\topa {\n\t\t\tpolicy policy.rego\n\t\t}\n", 1)
			return startOPAExample(t, inside, nil, map[string]string{"policy.rego": policy, "openapi.yaml": document})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t)
			token := e.token(t, "reports", "reports-secret")
			for _, test := range []struct {
				method, path string
				want         int
			}{
				{"GET", "/reports/2026", 200},
				{"GET", "//reports/20%32%36", 200},
				{"DELETE", "/reports/2026", 403},
				{"GET", "/reports/", 403},
				{"GET", "/reports", 403},
				{"GET", "/reports/2026/all", 403},
			} {
				if answer := e.status(t, test.method, test.path, token); answer.StatusCode != test.want {
					t.Errorf("%s %s: got %s, want %d", test.method, test.path, answer.Status, test.want)
				}
			}
		})
	}
}
