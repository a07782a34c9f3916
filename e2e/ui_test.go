// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/testenv"
)

const uiCaddyfile = `
{
	gluu {
		provider {
			issuer {$SITE}
			client_id gateway
			client_secret gateway-secret
			audience {$SITE}
		}
		provider partners {
			issuer http://127.0.0.1:9
			client_id gateway
			client_secret partners-secret
		}
		provider photos {
			issuer {$UMA}
			introspection_endpoint {$UMA}/introspect
			client_id gateway
			client_secret gateway-secret
			audience gateway
			verify introspection
		}
		opa {
			policy reports.rego watch
		}
		consumer todo-app {
			custom_id todo-app-client
			groups internal
		}
	}
}
http://photos.localhost:{$PORT} {
	gluu_uma_auth photos {
		anonymous todo-app
	}
	gluu_uma_pep photos {
		path /photos/?? {
			GET scope photos:view
			PUT DELETE scope photos:edit
		}
	}
	respond "a photo"
}
http://reports.localhost:{$PORT} {
	gluu_oauth_auth
	gluu_opa_pep
	respond "a report"
}
{$SITE} {
	gluu_oauth_server {
		issuer {$SITE}
		scopes todos:read todos:write
		client todo-app-client {
			secret $argon2id$v=19$m=47104,t=1,p=1$K6a0iFzB3yfYFU8NSul4PQ$ywB6h5uM+UOp12ct5D08Ya/ZNPsZsiwLN3yMjXtC8ck
			grants client_credentials
			scopes todos:read todos:write
		}
		client gateway {
			secret $argon2id$v=19$m=47104,t=1,p=1$77WrkUy3LBwcEqK2Sl9oqA$t1GkeZn/FZTL8ypDplz57GLU6ARM0Ox6Gr7lUQC07Dc
		}
	}
	gluu_oauth_auth
	gluu_oauth_pep {
		path /todos {
			GET scope todos:read
			POST scope todos:write
		}
		path /todos/? {
			GET scope todos:read
			PUT DELETE scope todos:write and not trial
		}
	}
	respond "{method} {uri}"
}
http://{$UI} {
	bind 127.0.0.1
	gluu_ui {
		local
		edit consumers policies config
		test_files *_test.yaml
		path_prefix /gateway
	}
}
`

// uiSite is a gateway with pages about it, and some traffic.
type uiSite struct {
	*harness.Gateway
	t     *testing.T
	pages string // their address, with a slash at its end
	token string // with the scope todos:read

	refused string // the id of a request that lacked a scope
}

func startUISite(t *testing.T) *uiSite {
	t.Helper()
	address, err := testenv.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	s := &uiSite{t: t, pages: "http://" + address + "/gateway/"}
	uma := harness.StartUMAServer(t, harness.UMAConfig{})
	s.Gateway = harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: uiCaddyfile, Env: map[string]string{"UI": address, "UMA": uma.Issuer},
		Files: map[string]string{"todos_test.yaml": todosTest, "reports.rego": "package httpapi.authz\n\ndefault allow := false\n"},
	})
	harness.Eventually(t, 30*time.Second, func() string { // so that nothing but traffic is refused
		status, body := s.adminGet("/gluu/providers")
		if status != http.StatusOK || !strings.Contains(body, "introspection_endpoint\":\"http://"+s.Addr) {
			return body
		}
		return ""
	})
	s.token = s.accessToken()
	s.WaitReady("/todos", harness.Field{Name: "Authorization", Value: "Bearer " + s.token})
	harness.Eventually(t, 30*time.Second, func() string {
		status, body := s.adminGet("/gluu/uma")
		if status != http.StatusOK || strings.Contains(body, `"missing"`) || !strings.Contains(body, `"registered"`) {
			return body
		}
		return ""
	})
	return s
}

// adminGet asks the admin endpoint.
func (s *uiSite) adminGet(path string) (status int, body string) {
	s.t.Helper()
	response, err := http.Get("http://" + s.Admin + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// accessToken returns a token of the embedded server.
func (s *uiSite) accessToken() string {
	s.t.Helper()
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {"todos:read"},
		"client_id": {"todo-app-client"}, "client_secret": {"todo-app-secret"},
	}
	response, err := http.PostForm("http://"+s.Addr+"/oauth2/token", form)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Token == "" {
		s.t.Fatalf("no token: %s, %v", response.Status, err)
	}
	s.Forbid(answer.Token)
	return answer.Token
}

// link asks the admin endpoint for a link, as `caddy gluu ui` does.
func (s *uiSite) link() string {
	s.t.Helper()
	response, err := http.Post("http://"+s.Admin+"/gluu/ui", "", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Links []struct{ URL string }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || len(answer.Links) != 1 {
		text, _ := io.ReadAll(response.Body)
		s.t.Fatalf("got %s %v %v %s, want one link", response.Status, answer, err, text)
	}
	_, secret, _ := strings.Cut(answer.Links[0].URL, "#")
	s.Forbid(secret)
	return answer.Links[0].URL
}

// traffic sends requests that are granted and refused, some of them with names that
// a page must not take for markup.
func (s *uiSite) traffic() {
	s.t.Helper()
	bearer := harness.Field{Name: "Authorization", Value: "Bearer " + s.token}
	for range 3 {
		s.Get("/todos", bearer)
		s.Get("/todos")
	}
	var refusal struct {
		ID string `json:"request_id"`
	}
	response := s.Send(harness.Request{Method: "POST", Target: "/todos", Fields: []harness.Field{bearer}})
	if err := json.Unmarshal([]byte(response.Body), &refusal); err != nil || refusal.ID == "" {
		s.t.Fatalf("got %s, want a refusal with its id", response)
	}
	s.refused = refusal.ID
	s.Send(harness.Request{Method: "DELETE", Target: "/todos/7", Fields: []harness.Field{bearer}})
	s.Get("/elsewhere/%3Cimg%20src=x%20onerror=alert(1)%3E/%E2%80%AEgnp", bearer)
	s.Get("/todos", harness.Field{Name: "Authorization", Value: "Bearer expired-or-invented"})
}

// uiPages are all pages of the navigation, with a text that each has.
var uiPages = []struct{ name, path, text string }{
	{"overview", "", "Overview"},
	{"routes", "routes", "behind rules"},
	{"routes-request", "routes?request=GET%20http://SITE/todos", "runs the marked handlers"},
	{"route", "route?at=/apps/http/servers/srv1/routes/2", "in order of precedence"},
	{"decisions", "decisions", "no rule covers"},
	{"why", "why?id=REQUEST", "What each handler said"},
	{"playground", "playground?request=GET%20/todos/7&scopes=todos:read", "The running rules"},
	{"consumers", "consumers", "todo-app"},
	{"consumer", "consumer?id=todo-app", "belongs to the configuration"},
	{"new-consumer", "consumer", "New consumer"},
	{"providers", "providers", "partners"},
	{"uma", "uma", "all 2 known"},
	{"opa", "opa", "reports.rego"},
	{"tokens", "tokens", "What is this token?"},
	{"sessions", "sessions", "Subject of a person"},
	{"metrics", "metrics", "a value every 15 seconds"},
	{"streams", "streams", "No stream is open"},
	{"configuration", "configuration", "Secrets are shown as markers"},
	{"changes", "changes", "link to the pages made"},
}

// Every page, in both themes and at both widths: the browser complains about
// nothing, asks no one else for anything, and axe-core finds no fault. A keyboard
// reaches everything, and the focus is seen. What it looks like is left in .cache/ui
// for a person to see.
func TestUIPagesInABrowser(t *testing.T) {
	t.Parallel()
	s := startUISite(t)
	s.traffic()
	window := harness.StartBrowser(t).Window(t)
	tab := window.Tab()
	tab.Look(1280, "light")
	tab.Open(s.link())
	tab.WaitLocation(s.pages)
	look := &uiLook{window: window, tab: tab}
	for _, page := range uiPages {
		t.Run(page.name, func(t *testing.T) {
			tab.Open(s.pages + s.address(page.path))
			tab.WaitText(page.text)
			look.at(t, page.name)
		})
	}
	s.lookAtChanges(look)
	for _, address := range window.Addresses() {
		if !strings.HasPrefix(address, s.pages) {
			t.Errorf("the pages requested %s", address)
		}
	}
}

// address fills what a path of uiPages leaves open.
func (s *uiSite) address(path string) string {
	return strings.NewReplacer("REQUEST", s.refused, "SITE", s.Addr).Replace(path)
}

// uiLook looks at what a tab shows.
type uiLook struct {
	window *harness.Window
	tab    *harness.Tab

	expected int // problems that were expected
}

// at looks at a page from all sides. Only its first problems are told.
func (l *uiLook) at(t *testing.T, name string) {
	t.Helper()
	for _, width := range []int{320, 1280} {
		for _, theme := range []string{"light", "dark"} {
			l.tab.Look(width, theme)
			side := fmt.Sprintf("%s-%s-%d", name, theme, width)
			if overflow := l.tab.Eval("String(document.documentElement.scrollWidth > innerWidth)"); overflow != "false" {
				t.Errorf("%s: the page is wider than the window", side)
			}
			keepScreenshot(t, side+".png", l.tab.Screenshot())
			for _, fault := range l.tab.Axe() {
				t.Errorf("%s: axe: %s", side, fault)
			}
		}
	}
	for _, fault := range l.tab.KeyboardFaults() {
		t.Errorf("%s: by keyboard: %s", name, fault)
	}
	for _, problem := range l.window.Problems()[l.expected:] {
		t.Errorf("%s: the browser complains: %s", name, problem)
	}
	l.expected = len(l.window.Problems())
}

// lookAtChanges changes the configuration, and looks at each page on the way.
func (s *uiSite) lookAtChanges(l *uiLook) {
	step := func(name, text string) {
		s.t.Run(name, func(t *testing.T) {
			l.tab.WaitText(text)
			l.at(t, name)
		})
	}
	edit := func(end string) {
		l.tab.Open(s.pages + "configuration")
		l.tab.Eval(`(area => area.value = area.value.replace("{http.request.uri}", "{http.request.uri}` + end + `"))(document.getElementById("text"))`)
	}
	edit("!")
	l.tab.Click(`button[value="review"]`)
	step("review", "What loading it changes")
	l.tab.Click(`button[value="load"]`)
	step("on-trial", "runs on trial")
	l.tab.Click(`form[action="configuration-confirm"] button`)
	l.tab.WaitText("The configuration is kept")
	l.tab.Click(`tr:last-child a[href^="configuration-version"]`)
	step("version", "What restoring it changes")

	edit("?")
	s.loadElsewhere()
	l.tab.Click(`button[value="review"]`)
	l.tab.WaitText("was changed since you opened it")
	l.expected = len(l.window.Problems()) // the browser tells of the status 412
	step("changed-meanwhile", "What others have changed")
}

// loadElsewhere changes the running configuration as another program does.
func (s *uiSite) loadElsewhere() {
	s.t.Helper()
	_, text := s.adminGet("/config/")
	changed := strings.ReplaceAll(text, `"a report"`, `"another report"`)
	answer, err := http.Post("http://"+s.Admin+"/config/", "application/json", strings.NewReader(changed))
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK || changed == text {
		s.t.Fatalf("loading another configuration: %s", answer.Status)
	}
}

// openWithoutScript opens the pages by their link in a browser without JavaScript, by
// keyboard alone.
func (s *uiSite) openWithoutScript() *harness.Tab {
	s.t.Helper()
	tab := harness.StartBrowser(s.t).Window(s.t).Tab()
	tab.WithoutScript()
	tab.Open(s.pages)
	tab.WaitText("Or paste the link here")
	tab.Type("#secret", s.link()+kb.Enter)
	tab.WaitText("Overview")
	return tab
}

// Without JavaScript and by keyboard alone: the pages open, each says what it says with
// JavaScript, and a person finds out why a request was refused in two steps.
func TestSec_S422_UIWithoutJavaScript(t *testing.T) {
	t.Parallel()
	s := startUISite(t)
	s.traffic()
	tab := s.openWithoutScript()
	for _, page := range uiPages {
		tab.Open(s.pages + s.address(page.path))
		tab.WaitText(page.text)
	}
	tab.Open(s.pages)
	tab.TabTo(`nav a[href="./decisions"]`)
	tab.Press(kb.Enter)
	tab.WaitText("no rule covers")
	tab.TabTo(`a[href="why?id=` + s.refused + `"]`)
	tab.Press(kb.Enter)
	tab.WaitText("What each handler said")
	tab.WaitText("todos:write")
}

// keepScreenshot keeps what a page looks like, and the pictures of the documentation
// in the folder that E2E_SCREENSHOTS names.
func keepScreenshot(t *testing.T, name string, picture []byte) {
	t.Helper()
	dir := filepath.Join(harness.Root(), ".cache", "ui")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), picture, 0o644); err != nil {
		t.Fatal(err)
	}
	page, isPicture := strings.CutSuffix(name, "-light-1280.png")
	if docs := os.Getenv("E2E_SCREENSHOTS"); docs != "" && isPicture && slices.Contains(picturesInDocs, page) {
		small, err := harness.SmallPNG(picture, 900)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(docs, "gluu_ui-"+page+".png"), small, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// picturesInDocs are the pages of which docs/gluu_ui.md has a picture.
var picturesInDocs = []string{"overview", "routes", "decisions", "why", "playground"}
