// SPDX-License-Identifier: Apache-2.0

// Package quickstart_test does what the quickstart tells its reader to do.
package quickstart_test

import (
	"bufio"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

func TestQuickstartDoesWhatItPrints(t *testing.T) {
	needs(t)
	q := start(t, clone(t)) // with nothing that anyone has allowed before
	if q == nil {
		return
	}
	tryCommands(t, q)
	t.Run("the link", func(t *testing.T) {
		address, secret, _ := strings.Cut(q.link, "#")
		response, err := http.PostForm(address, url.Values{"secret": {secret}})
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		// Without the cookie of the first answer, the page that follows asks for another link.
		if response.StatusCode != http.StatusUnauthorized || !strings.HasSuffix(response.Request.URL.Path, "/") {
			t.Errorf("got %s at %s", response.Status, response.Request.URL)
		}
	})
	t.Run("the page for people", func(t *testing.T) { logIn(t, q) })
	t.Run("too often", func(t *testing.T) {
		token := accessToken(t, q.commands[2])
		for range 101 { // the three of before count, too
			request, err := http.NewRequest(http.MethodGet, q.gateway+"/todos", nil)
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

// logIn opens the printed page in a browser, and logs in as the printed lines say.
func logIn(t *testing.T, q *quickstart) {
	t.Helper()
	if q.page != q.gateway+"/me" {
		t.Fatalf("the page for people is %q, want %s/me", q.page, q.gateway)
	}
	browser := harness.StartBrowser(t)
	open := func(t *testing.T) *harness.Tab {
		tab := browser.Window(t).Tab()
		// What the browser asks for in a dialog of its own, a script can only say in
		// an address. The browser remembers it, as after the dialog.
		tab.Open("http://alice:alice-password@" + strings.TrimPrefix(q.gateway, "http://") + "/oauth2/authorize")
		tab.Open(q.page)
		return tab
	}
	t.Run("denied", func(t *testing.T) {
		tab := open(t)
		tab.WaitText("The Todo App")
		tab.Click("button[value=deny]")
		harness.Eventually(t, 30*time.Second, func() string {
			if at := tab.Location(); !strings.HasPrefix(at, q.gateway+"/callback?") || tab.Text() == "" {
				return "the tab shows " + at
			}
			return ""
		})
		if shown := tab.Text(); strings.Contains(shown, "X-Authenticated-Userid") {
			t.Errorf("the API answered: %s", shown)
		}
	})
	t.Run("allowed", func(t *testing.T) {
		tab := open(t)
		tab.WaitText("The Todo App")
		for _, want := range []string{"todos:read", "alice"} {
			if shown := tab.Text(); !strings.Contains(shown, want) {
				t.Errorf("the page shows %q, want %q in it", shown, want)
			}
		}
		tab.Click("button[value=allow]")
		tab.WaitText("GET /me")
		for _, want := range []string{`X-OAuth-Client-ID: +gateway`, `X-Authenticated-Scope: +openid todos:read`, `X-Authenticated-Userid: +alice`} {
			if shown := tab.Text(); !regexp.MustCompile(want).MatchString(shown) {
				t.Errorf("the API shows %q, want %q in it", shown, want)
			}
		}
		tab.WaitLocation(q.page)
		tab.Open(q.page) // and the next time at once
		tab.WaitText("GET /me")
	})
	t.Run("without a password", func(t *testing.T) {
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		first, err := client.Get(q.page)
		if err != nil {
			t.Fatal(err)
		}
		first.Body.Close()
		second, err := client.Get(first.Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		second.Body.Close()
		if first.StatusCode != http.StatusFound || second.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %s and %s, want 302 and 401", first.Status, second.Status)
		}
	})
}

// Three at once, two of them in one clone: each is a gateway of its own, though
// Caddy shares its ports with whatever else of the same user listens there.
func TestQuickstartsAtOnce(t *testing.T) {
	needs(t)
	another := clone(t)
	var starting sync.WaitGroup
	quickstarts := make([]*quickstart, 3)
	for i, dir := range []string{".", ".", another} {
		starting.Go(func() { quickstarts[i] = start(t, dir) })
	}
	starting.Wait()
	owner := map[string]bool{}
	for _, q := range quickstarts {
		if q == nil {
			t.Fatal("one of them did not start")
		}
		if owner[q.gateway] || owner[q.log] {
			t.Errorf("two gateways have the address %s or the log %s", q.gateway, q.log)
		}
		owner[q.gateway], owner[q.log] = true, true
		tryCommands(t, q)
	}
	for _, q := range quickstarts {
		log, err := os.ReadFile(q.log)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(log), "serving initial configuration"); n != 1 {
			t.Errorf("%s: %d starts in the log, want 1", q.log, n)
		}
	}
}

// The printed command reloads this gateway and no other.
func TestQuickstartReloads(t *testing.T) {
	needs(t)
	q := start(t, ".")
	if q == nil {
		return
	}
	if out, err := exec.Command("sh", "-c", q.reload).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", q.reload, err, out)
	}
	tryCommands(t, q)
}

// With a port that is in use nothing is started, and the answer says what to do.
func TestQuickstartRefusesAPortInUse(t *testing.T) {
	needs(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		_ = http.Serve(listener, http.NotFoundHandler())
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	script := exec.Command("./run.sh")
	script.Env = append(os.Environ(), "QUICKSTART_PORT="+port)
	out, err := script.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "Port "+port) || !strings.Contains(string(out), "QUICKSTART_PORT=") {
		t.Errorf("got %v and %s, want a failure that names port %s", err, out, port)
	}
}

// clone copies the example to where it has no files of earlier runs. It runs the same
// binary there.
func clone(t *testing.T) (dir string) {
	t.Helper()
	t.Setenv("CADDY", binary(t))
	dir = filepath.Join(t.TempDir(), "another clone", "examples", "quickstart")
	if err := os.CopyFS(dir, os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func binary(t *testing.T) string {
	t.Helper()
	caddy, err := filepath.Abs("../../bin/caddy")
	if err != nil {
		t.Fatal(err)
	}
	return caddy
}

// needs skips a test for want of what it needs.
func needs(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(binary(t)); err != nil {
		t.Skip("NOT TESTED: the quickstart: bin/caddy is missing, run make build")
	}
	for _, tool := range []string{"sh", "curl", "sed"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT TESTED: the quickstart: its commands need %s, which is missing", tool)
		}
	}
}

// tryCommands runs the printed commands and compares the answers with what was
// said about them.
func tryCommands(t *testing.T, q *quickstart) {
	t.Helper()
	if len(q.commands) != 3 {
		t.Fatalf("got %d curl commands, want 3: %q", len(q.commands), q.commands)
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
			out, err := exec.Command("sh", "-c", q.commands[i]).Output()
			if err != nil {
				t.Fatalf("%s: %v", q.commands[i], err)
			}
			if !regexp.MustCompile(test.want).Match(out) {
				t.Errorf("got %s\nwant %s", out, test.want)
			}
		})
	}
}

// quickstart is what run.sh prints.
type quickstart struct {
	commands             []string
	gateway, log, reload string
	link, page           string
}

// start runs run.sh of a folder until it has printed all. When the test is over
// the script is stopped, and has to take Caddy with it. It returns nil if the
// script has ended instead.
func start(t *testing.T, dir string) *quickstart {
	t.Helper()
	script := exec.Command("./run.sh")
	script.Dir, script.Stderr = dir, os.Stderr
	out, err := script.StdoutPipe()
	if err == nil {
		err = script.Start()
	}
	if err != nil {
		t.Error(err)
		return nil
	}
	q := &quickstart{}
	lines := bufio.NewScanner(out)
	t.Cleanup(func() {
		_ = script.Process.Signal(syscall.SIGTERM)
		for lines.Scan() { // until no process is left that could write
		}
		if err := script.Wait(); err != nil {
			t.Errorf("run.sh, stopped: %v", err)
		}
		if response, err := http.Get(q.gateway); err == nil {
			response.Body.Close()
			t.Errorf("%s still answers after run.sh was stopped", q.gateway)
		}
	})
	timeout := time.AfterFunc(2*time.Minute, func() { _ = script.Process.Signal(syscall.SIGTERM) })
	defer timeout.Stop()
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "curl "):
			q.commands = append(q.commands, line)
		case strings.HasPrefix(line, "The gateway runs at "):
			q.gateway = strings.TrimSuffix(strings.Fields(line)[4], ",")
		case strings.HasPrefix(line, "Its log is "):
			q.log = strings.TrimSuffix(strings.TrimPrefix(line, "Its log is "), ".")
		case strings.HasPrefix(line, "http://127.0.0.1:") && strings.Contains(line, "#"):
			q.link = line
		case strings.HasPrefix(line, "http://127.0.0.1:"):
			q.page = line
		case strings.HasPrefix(line, "QUICKSTART_PORT="):
			q.reload = line
		case strings.HasPrefix(line, "Press "):
			return q
		}
	}
	t.Errorf("run.sh has ended without a word of what to try: %q", q.commands)
	return nil
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
