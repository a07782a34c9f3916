// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/testenv"
)

// exchange is a block of commands in README.md, and the answer shown below it.
var exchange = regexp.MustCompile("(?ms)^```sh\n([^`]*curl[^`]*)^```\n\n```http\n(.*?)^```$")

// The commands of README.md, pasted into a shell one after the other, print
// the answers that README.md shows.
func TestReadmeShowsRealAnswers(t *testing.T) {
	t.Parallel()
	shown := exchange.FindAllStringSubmatch(readFile(t, "README.md"), -1)
	if len(shown) != 3 {
		t.Fatalf("README.md shows %d commands with their answers, want 3", len(shown))
	}
	for _, tool := range []string{"sh", "curl", "sed"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT TESTED: the commands of README.md: they need %s, which is missing", tool)
		}
	}
	gateway := startQuickstart(t)
	gateway.WaitReady("/todos", harness.Bearer("any-token"))

	const end = "=== end of the answer"
	var script strings.Builder
	for _, commands := range shown {
		fmt.Fprintf(&script, "%s\nprintf '\\n%s\\n'\n", strings.ReplaceAll(commands[1], "127.0.0.1:18480", gateway.Addr), end)
	}
	shell := exec.CommandContext(t.Context(), "sh", "-e")
	shell.Stdin = strings.NewReader(script.String())
	output, err := shell.Output()
	answers := strings.Split(string(output), end)
	if err != nil || len(answers) != len(shown)+1 {
		t.Fatalf("%v, %d answers to\n%s\n%s", err, len(answers)-1, &script, output)
	}
	for i, commands := range shown {
		if got, want := steady(answers[i]), steady(commands[2]); got != want {
			t.Errorf("answer %d: README.md shows\n%s\nbut it is\n%s", i+1, want, got)
		}
	}
}

// startQuickstart runs the quickstart on free ports.
func startQuickstart(t *testing.T) *harness.Gateway {
	t.Helper()
	ports := map[string]string{}
	for _, name := range []string{"QUICKSTART_API_PORT", "QUICKSTART_UI_PORT"} {
		address, err := testenv.FreeAddress()
		if err != nil {
			t.Fatal(err)
		}
		_, ports[name], _ = net.SplitHostPort(address)
	}
	return harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: strings.NewReplacer(
			"{$QUICKSTART_PORT:18480}", "{$PORT}",
			"admin 127.0.0.1:{$QUICKSTART_ADMIN_PORT:18482}", "",
		).Replace(readFile(t, "examples/quickstart/Caddyfile")),
		Binary: harness.StandardBinary(t),
		Env:    ports,
	})
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(harness.Root(), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// steady leaves out what differs from run to run.
func steady(answer string) string {
	answer = strings.ReplaceAll(answer, "\r\n", "\n")
	answer = regexp.MustCompile(`(?m)^Date: .*\n`).ReplaceAllString(answer, "")
	answer = regexp.MustCompile(`(X-OAuth-Expiration: +)\d+`).ReplaceAllString(answer, "${1}*")
	answer = regexp.MustCompile(`("request_id":")[0-9a-f-]{36}"`).ReplaceAllString(answer, `${1}*"`)
	return strings.TrimSpace(answer)
}
