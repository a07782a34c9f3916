// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/testenv"
)

// session is a shell into which the commands of a page are typed, in a folder where bin/caddy
// is the gateway of this tree.
type session struct {
	testing.TB
	dir     string
	stdin   io.Writer
	answers *bufio.Scanner
	replace *strings.Replacer // the addresses of the page by those of the test
}

const endOfAnswer = "=== end of the answer"

func newSession(t *testing.T, replace *strings.Replacer, env ...string) *session {
	t.Helper()
	for _, tool := range []string{"sh", "curl", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT TESTED: the commands of the tutorial: they need %s, which is missing", tool)
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"bin/caddy": harness.Binary(t), "examples": filepath.Join(harness.Root(), "examples")} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	shell := exec.Command("sh") // the cleanup ends it
	shell.Dir = dir
	shell.Env = append(append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir), env...)
	stdin, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the shell ends the gateway, which is its child
		_, _ = io.WriteString(stdin, "kill $! 2>/dev/null; wait; exit\n")
		_ = shell.Wait()
	})
	return &session{TB: t, dir: dir, stdin: stdin, answers: bufio.NewScanner(stdout), replace: replace}
}

// run runs a command as it is printed and returns what it prints.
func (s *session) run(command string) string {
	s.Helper()
	fmt.Fprintf(s.stdin, "%s\nprintf '\\n%%s\\n' '%s'\n", s.replace.Replace(command), endOfAnswer)
	var answer []string
	for s.answers.Scan() {
		if line := s.answers.Text(); line != endOfAnswer {
			answer = append(answer, line)
			continue
		}
		return strings.TrimSpace(strings.Join(answer, "\n"))
	}
	s.Fatalf("the shell ended in %s", command)
	return ""
}

// start starts a gateway, in the background.
func (s *session) start(command string) {
	s.Helper()
	s.run(command + " >log 2>&1 &")
	harness.Eventually(s, time.Minute, func() string {
		if s.run("grep -c 'serving initial configuration' log") == "1" {
			return ""
		}
		return "the gateway has not started: " + s.run("tail -n 5 log")
	})
}

// object is the answer as JSON.
func (s *session) object(command string) map[string]any {
	s.Helper()
	answer := s.run(command)
	var members map[string]any
	if err := json.Unmarshal([]byte(answer), &members); err != nil {
		s.Fatalf("%s\nprints %q: %v", command, answer, err)
	}
	return members
}

// let sets a variable of the shell to a text of an answer, as the reader does.
func (s *session) let(name string, answer map[string]any, member string) {
	s.Helper()
	value, ok := answer[member].(string)
	if !ok || strings.Contains(value, "'") {
		s.Fatalf("the answer %v has no %s", answer, member)
	}
	s.run(name + "='" + value + "'")
}

// commandsIn are the commands of the blocks of a page, in or out of a list.
func commandsIn(page string) (commands []string) {
	for _, block := range regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```$").FindAllStringSubmatch(page, -1) {
		for command := range strings.SplitSeq(strings.ReplaceAll(block[1], "\\\n", "\\\x00"), "\n") {
			if command = strings.TrimSpace(strings.ReplaceAll(command, "\x00", "\n")); command != "" {
				commands = append(commands, command)
			}
		}
	}
	return commands
}

// The commands of examples/step-on, the tutorial that users of Kong know, typed into a shell
// one after the other; then those of docs/profile_kong.md with the same client.
func TestTheStepOnTutorial(t *testing.T) {
	t.Parallel()
	site, err := testenv.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	admin, err := testenv.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(site)
	state := t.TempDir()
	s := newSession(t, strings.NewReplacer("localhost:8093", "localhost:"+port, "localhost:8193", admin,
		"https://api.example.com", "-H 'X-Forwarded-Proto: https' http://localhost:"+port,
		`"client_id": "..."`, `"client_id": "'$CLIENT_ID'"`, `"provision_key": "..."`, `"provision_key": "'$PROVISION_KEY'"`,
		"client_id=...", "client_id=$CLIENT_ID", "client_secret=...", "client_secret=$CLIENT_SECRET", "code=KkVJ2AkUAYzmcTRiUdyE4mh1Nz6bI9x0", "code=$CODE",
	), "ADDRESS=http://localhost:"+port, "CADDY_ADMIN="+admin, "STATE="+filepath.Join(state, "state"), "STORE="+filepath.Join(state, "step-on.db"))

	const callback = "http://127.0.0.1:9000/callback"
	const ofEveryone = `{"user":null,"average":5500}`
	ran := 0
	for _, command := range commandsIn(readFile(t, "examples/step-on/README.md")) {
		ran++
		switch {
		case command == "make build": // bin/caddy is there
		case strings.HasPrefix(command, "bin/caddy run"):
			s.start(command)
		case strings.Contains(command, "/gluu/consumers/"):
			made := s.object(command)
			s.let("CLIENT_ID", made, "client_id")
			s.let("CLIENT_SECRET", made, "client_secret")
		case strings.Contains(command, "/oauth2/authorize"):
			s.letCode(s.object(command), callback)
		case strings.Contains(command, "/oauth2/token"):
			s.letTokens(s.object(command))
		case strings.Contains(command, "#"): // with its answer
			if _, want, _ := strings.Cut(command, "#"); s.run(command) != strings.TrimSpace(want) {
				t.Errorf("%s\nprints another answer", command)
			}
		case strings.Contains(command, "/gluu/oauth2_grants"):
			if ended := s.object(command)["ended"]; ended != 1.0 {
				t.Errorf("%v grants of ann ended, want 1", ended)
			}
			if got := s.run(`curl localhost:8093/steps/today -H "Authorization: Bearer $ACCESS_TOKEN"`); got != ofEveryone {
				t.Errorf("after ann changed her mind: %s", got)
			}
		case strings.HasPrefix(command, "export "):
			s.run(command)
		case strings.HasPrefix(command, "bin/caddy gluu test"):
			if out := s.run(command); !strings.Contains(out, "4") || strings.Contains(out, "FAIL") {
				t.Errorf("%s\nprints %s", command, out)
			}
		default:
			t.Errorf("the page has a command that this test does not know: %s", command)
		}
	}
	if ran != 12 {
		t.Errorf("%d commands ran, want 12", ran)
	}

	commands := fenced(t, readFile(t, "docs/profile_kong.md"), "sh")
	if len(commands) != 2 {
		t.Fatalf("docs/profile_kong.md has %d commands, want 2", len(commands))
	}
	s.letCode(s.object(commands[0]), callback)
	s.letTokens(s.object(commands[1]))
	if got := s.run(`curl localhost:8093/steps/today -H "Authorization: Bearer $ACCESS_TOKEN"`); got != `{"user":"ann","steps":10321}` {
		t.Errorf("with the token of docs/profile_kong.md: %s", got)
	}
}

func (s *session) letCode(answer map[string]any, callback string) {
	s.Helper()
	uri, _ := answer["redirect_uri"].(string)
	sent, err := url.Parse(uri)
	if err != nil || !strings.HasPrefix(uri, callback+"?code=") || len(sent.Query().Get("code")) != 32 || len(answer) != 1 {
		s.Fatalf("authorize: got %v, want a code at %s", answer, callback)
	}
	s.let("CODE", map[string]any{"code": sent.Query().Get("code")}, "code")
}

func (s *session) letTokens(answer map[string]any) {
	s.Helper()
	if answer["token_type"] != "bearer" || answer["expires_in"] != 7200.0 || len(answer) != 4 {
		s.Fatalf("token: got %v", answer)
	}
	s.let("ACCESS_TOKEN", answer, "access_token")
	s.let("REFRESH_TOKEN", answer, "refresh_token")
}

// The commands of docs/gluu_oauth_server.md about tokens, with its smallest example, answer
// what the page shows.
func TestTheCommandsOfTheServersPage(t *testing.T) {
	t.Parallel()
	site, err := testenv.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(site)
	page := readFile(t, "docs/gluu_oauth_server.md")
	const shownToken = "ft2RqOoYej5XBneOBCpucH09rEIE-_0_TZZoKOOKCGY"
	s := newSession(t, strings.NewReplacer("https://auth.example.com", "http://localhost:"+port, shownToken, "$ACCESS_TOKEN"))
	smallest := strings.Replace(fenced(t, page, "caddyfile")[0], "auth.example.com {", "http://localhost:"+port+" {", 1)
	smallest = "{\n\tadmin off\n\tpersist_config off\n}\n" + smallest
	if err := os.WriteFile(filepath.Join(s.dir, "Caddyfile"), []byte(smallest), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run("export GATEWAY_SECRET_HASH=$(printf gateway-secret | bin/caddy gluu hash-secret)")
	s.start("bin/caddy run --config Caddyfile")

	shown := regexp.MustCompile("(?ms)^```sh\n(curl [^`]*)^```\n(?:\n```\n([^`]*)^```)?").FindAllStringSubmatch(page, -1)
	if len(shown) != 4 {
		t.Fatalf("the page has %d commands about tokens, want 4", len(shown))
	}
	for _, exchange := range shown {
		got, want := s.run(exchange[1]), strings.TrimSpace(exchange[2])
		if token := regexp.MustCompile(`"access_token":"([^"]{43})"`).FindStringSubmatch(got); token != nil {
			s.run("ACCESS_TOKEN='" + token[1] + "'")
			got = strings.Replace(got, token[1], shownToken, 1)
		}
		got, want = withoutTimes(got), withoutTimes(want)
		if start, _, cut := strings.Cut(want, ",...}"); got != want && !(cut && strings.HasPrefix(got, start)) {
			t.Errorf("%s\nprints\n%s\nand not\n%s", exchange[1], got, want)
		}
	}
	if got := s.run(shown[1][1]); got != `{"active":false}` {
		t.Errorf("after its revocation the token is %s", got)
	}
}

func withoutTimes(answer string) string {
	return regexp.MustCompile(`"(exp|iat)":\d+`).ReplaceAllString(answer, `"$1":0`)
}
