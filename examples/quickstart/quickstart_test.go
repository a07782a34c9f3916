// SPDX-License-Identifier: Apache-2.0

// Package quickstart_test does what the quickstart tells its reader to do.
package quickstart_test

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestQuickstartDoesWhatItPrints(t *testing.T) {
	caddy, err := filepath.Abs("../../bin/caddy")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(caddy); err != nil {
		t.Skip("NOT TESTED: the quickstart: bin/caddy is missing, run make build")
	}
	for _, tool := range []string{"sh", "curl", "sed"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT TESTED: the quickstart: its commands need %s, which is missing", tool)
		}
	}
	commands, gateway := start(t)
	if len(commands) != 3 {
		t.Fatalf("got %d curl commands, want 3: %q", len(commands), commands)
	}
	tests := []struct{ name, want string }{
		{"without a token", `(?s)^HTTP/1\.1 401 .*Www-Authenticate: Bearer realm="api"\r\n.*"error":"unauthorized"`},
		{"without the scope", `(?s)^HTTP/1\.1 403 .*Www-Authenticate: Bearer realm="api", error="insufficient_scope", scope="todos:write"\r\n`},
		{"with everything", `(?s)^HTTP/1\.1 200 .*\r\n\r\nGET /todos\n` +
			`X-Consumer-ID: +[0-9a-f-]{36}\nX-Consumer-Username: +todo-app\nX-Consumer-Custom-ID: +todo-app-client\n` +
			`X-OAuth-Client-ID: +todo-app-client\nX-OAuth-Expiration: +\d+\nX-Authenticated-Scope: +todos:read\nX-Authenticated-Userid: +todo-app-client`},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out, err := exec.Command("sh", "-c", commands[i]).Output()
			if err != nil {
				t.Fatalf("%s: %v", commands[i], err)
			}
			if !regexp.MustCompile(test.want).Match(out) {
				t.Errorf("got %s\nwant %s", out, test.want)
			}
		})
	}
	t.Run("too often", func(t *testing.T) {
		token := accessToken(t, commands[2])
		for range 101 { // the three of before count, too
			request, err := http.NewRequest(http.MethodGet, gateway+"/todos", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", "Bearer "+token)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			switch response.StatusCode {
			case http.StatusOK:
			case http.StatusTooManyRequests:
				return
			default:
				t.Fatalf("got %s", response.Status)
			}
		}
		t.Error("more than 100 requests in a minute were allowed")
	})
}

// start runs run.sh and returns the commands that it prints and the address of
// the gateway. When the test is over the script is stopped, and has to take
// Caddy with it.
func start(t *testing.T) (commands []string, gateway string) {
	t.Helper()
	script := exec.Command("./run.sh")
	script.Stderr = os.Stderr
	out, err := script.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := script.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	t.Cleanup(func() {
		if err := script.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		for lines.Scan() { // until nobody is left who could write
		}
		if err := script.Wait(); err != nil {
			t.Errorf("run.sh, stopped: %v", err)
		}
		if response, err := http.Get(gateway); err == nil {
			response.Body.Close()
			t.Errorf("%s still answers after run.sh was stopped", gateway)
		}
	})
	timeout := time.AfterFunc(time.Minute, func() { _ = script.Process.Signal(syscall.SIGTERM) })
	defer timeout.Stop()
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "curl "):
			commands = append(commands, line)
		case strings.HasPrefix(line, "The gateway runs at "):
			gateway = strings.TrimSuffix(strings.Fields(line)[4], ",")
		case strings.HasPrefix(line, "Press "):
			return commands, gateway
		}
	}
	t.Fatalf("run.sh has ended without a word of what to try: %q", commands)
	return nil, ""
}

// accessToken runs the part of a command that gets the token.
func accessToken(t *testing.T, command string) string {
	t.Helper()
	inner := regexp.MustCompile(`\$\((.*)\)"$`).FindStringSubmatch(command)
	if inner == nil {
		t.Fatalf("no token is fetched in %s", command)
	}
	token, err := exec.Command("sh", "-c", inner[1]).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(token))
}
