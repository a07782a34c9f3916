// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/audit"
	"github.com/caddy-gluu/gateway/internal/decisions"
)

const todosTest = `scope_expression:
  - path: /todos/?
    conditions:
      - {httpMethods: [GET], scope_expression: {rule: {var: 0}, data: [todos:read]}}
tests:
  - request: GET /todos/1
    scopes: [todos:read]
    want: allow
`

// uiWithTests returns pages with a folder of test files.
func uiWithTests(t *testing.T) (u *UI, file string) {
	t.Helper()
	u = newUI(t, runApp(t))
	dir := t.TempDir()
	file = filepath.Join(dir, "todos_test.yaml")
	for name, text := range map[string]string{
		"todos_test.yaml": todosTest, "secret_test.yaml": "policy: Caddyfile\ntests: [{request: GET /, want: allow}]\n",
		"Caddyfile": "{\n\tadmin the-secret-of-a-file x y z\n}\n", "other.yaml": "password: the-secret-of-a-file\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	u.TestFiles, u.Edit = []string{filepath.Join(dir, "*_test.yaml"), file}, []string{"policies"}
	return u, file
}

// areaOf returns what a text area of a page has.
func areaOf(t *testing.T, page, name string) string {
	t.Helper()
	found := regexp.MustCompile(`(?s)<textarea [^>]*name="` + name + `"[^>]*>\n?(.*?)</textarea>`).FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("the page has no text area %s: %s", name, page)
	}
	return html.UnescapeString(found[1])
}

func rulesFor(scope string) string {
	return `[{"path": "/todos/?", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"var": 0}, "data": ["` + scope + `"]}}]}]`
}

// What was tried becomes a case of a test file, once, and the file is run.
func TestATryIsSavedAsATest(t *testing.T) {
	u, file := uiWithTests(t)
	form := url.Values{"request": {"GET /todos/7"}, "scopes": {"todos:write"}, "draft_a": {rulesFor("todos:read")}}
	page := bodyOf(t, post(t, u, "/playground", "admins", form))
	text := areaOf(t, page, "case")
	if want := "- request: GET /todos/7\n  scopes: ['todos:write']\n  want: deny\n  rule: /todos/?\n  captures: [\"7\"]\n"; text != want {
		t.Fatalf("the case is\n%s\nwant\n%s", text, want)
	}
	form.Set("case", strings.ReplaceAll(text, "\n", "\r\n"))
	form.Set("test_file", file)
	got := post(t, u, "/playground-save", "admins", form)
	if page := bodyOf(t, got); got.StatusCode != http.StatusOK || !strings.Contains(page, "2 passed") {
		t.Errorf("got %s %s", got.Status, page)
	}
	saved, err := os.ReadFile(file)
	if err != nil || !strings.HasSuffix(string(saved), "    want: allow\n  - request: GET /todos/7\n    scopes: ['todos:write']\n    want: deny\n    rule: /todos/?\n    captures: [\"7\"]\n") {
		t.Errorf("the file is %s, %v", saved, err)
	}
	if last := audit.Recent.List(0, 1); len(last) != 1 || last[0].Change != "policy test saved" || last[0].Subject != file {
		t.Errorf("the change is noted as %+v", last)
	}
	if got := post(t, u, "/playground-save", "admins", form); got.StatusCode != http.StatusConflict {
		t.Errorf("the same once more: got %s", got.Status)
	}
}

// Forms can send what no file can hold.
func TestATryThatIsNotText(t *testing.T) {
	u, _ := uiWithTests(t)
	for _, form := range []url.Values{{"scopes": {"\xff"}}, {"request": {"GET /\xff"}}, {"scopes": {"\xff"}, "draft_a": {rulesFor("todos:read")}}, {"request": {"GET /todos/\xff"}, "draft_a": {rulesFor("todos:read")}}} {
		if !form.Has("request") {
			form.Set("request", "GET /todos/1")
		}
		if got := post(t, u, "/playground", "viewers", form); got.StatusCode >= http.StatusInternalServerError {
			t.Errorf("%q: got %s", form, got.Status)
		}
	}
}

// Only an admin saves, where the configuration allows it, and nowhere but in its test files.
func TestWhatIsNotSavedAsATest(t *testing.T) {
	u, file := uiWithTests(t)
	const text = "- {request: GET /todos/7, want: deny}"
	other := filepath.Join(filepath.Dir(file), "other.yaml")
	for name, c := range map[string]struct {
		group, file, text string
		edit              string
		want              int
	}{
		"a viewer":           {"viewers", file, text, "policies", http.StatusForbidden},
		"an operator":        {"operators", file, text, "policies", http.StatusForbidden},
		"consumers alone":    {"admins", file, text, "consumers", http.StatusForbidden},
		"edit none":          {"admins", file, text, "none", http.StatusForbidden},
		"another file":       {"admins", other, text, "policies", http.StatusBadRequest},
		"a way around":       {"admins", filepath.Dir(file) + "/./todos_test.yaml", text, "policies", http.StatusBadRequest},
		"no file":            {"admins", "", text, "policies", http.StatusBadRequest},
		"a policy of a file": {"admins", file, "policy: " + other, "policies", http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			u.Edit = []string{c.edit}
			if got := post(t, u, "/playground-save", c.group, url.Values{"case": {c.text}, "test_file": {c.file}}); got.StatusCode != c.want {
				t.Errorf("got %s, want %d", got.Status, c.want)
			}
			if now, err := os.ReadFile(file); err != nil || string(now) != todosTest {
				t.Errorf("the file is %s, %v", now, err)
			}
		})
	}
}

// The files are run by their policies and by both drafts, side by side. What a file cannot
// be run for is not shown: it can quote a configuration.
func TestTestFilesAreRun(t *testing.T) {
	u, _ := uiWithTests(t)
	got := post(t, u, "/playground-tests", "viewers", url.Values{"draft_a": {rulesFor("todos:read")}, "draft_b": {rulesFor("todos:admin")}})
	page := bodyOf(t, got)
	for _, want := range []string{"1 passed", "GET /todos/1", `<td data-name="its policy"><span class="state good">allow</span></td><td data-name="Draft A"><span class="state good">allow</span></td><td data-name="Draft B"><span class="state bad">deny</span>`, "caddy gluu test"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q: %s", want, page)
		}
	}
	if got.StatusCode != http.StatusOK || strings.Contains(page, "the-secret-of-a-file") || strings.Contains(page, "Save as test") {
		t.Errorf("got %s %s", got.Status, page)
	}
}

// The last refusals are replayed with both drafts.
func TestDraftsAreReplayed(t *testing.T) {
	u := newUI(t, runApp(t))
	pep := decisions.Identify(decisions.HandlerInfo{Name: oauthPEP})
	for id, path := range map[string]string{"replay-1": "/todos/1", "replay-2": "/elsewhere"} {
		decisions.Recent.Add(&decisions.Refused{RequestID: id, Handler: pep, Method: "GET", Host: "replay.example.com", Path: path, Status: 403, ClientID: "app", Scopes: []string{"todos:read"}})
	}
	got := post(t, u, "/playground-replay", "viewers", url.Values{"host": {"replay.example.com"}, "draft_a": {rulesFor("todos:read")}, "draft_b": {rulesFor("todos:admin")}})
	page := bodyOf(t, got)
	if got.StatusCode != http.StatusOK || strings.Count(page, "why?id=replay-1") != 1 || strings.Contains(page, "why?id=replay-2") || !strings.Contains(page, "None of the last 2 refusals") {
		t.Errorf("got %s %s", got.Status, page)
	}
	if got := post(t, u, "/playground-replay", "viewers", url.Values{"draft_a": {"[{"}}); got.StatusCode != http.StatusBadRequest {
		t.Errorf("without a draft: got %s", got.Status)
	}
}

// The last refusals of a site are tried, however many another one has had since.
func TestABusySiteDoesNotHideTheRefusalsOfOthers(t *testing.T) {
	const name = "handler of two sites"
	handler := decisions.Identify(decisions.HandlerInfo{Name: name})
	refuse := func(host string) {
		decisions.Recent.Add(&decisions.Refused{RequestID: host, Handler: handler, Method: "GET", Host: host, Path: "/", Status: 403})
	}
	refuse("quiet.example.com")
	for range refusalsTried + 10 {
		refuse("busy.example.com")
	}
	for host, want := range map[string]int{"quiet.example.com": 1, "busy.example.com": refusalsTried} {
		if found := refusalsBy(name, func(of string) bool { return of == host }); len(found) != want {
			t.Errorf("%s: got %d refusals, want %d", host, len(found), want)
		}
	}
}
