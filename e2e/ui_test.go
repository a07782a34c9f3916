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
	"strings"
	"testing"

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
		consumer todo-app {
			custom_id todo-app-client
			groups internal
		}
	}
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
	s.Gateway = harness.StartGateway(t, harness.GatewayConfig{Caddyfile: uiCaddyfile, Env: map[string]string{"UI": address}})
	s.token = s.accessToken()
	s.WaitReady("/todos", harness.Field{Name: "Authorization", Value: "Bearer " + s.token})
	return s
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
	{"route", "route?at=/apps/http/servers/srv1/routes/0", "in order of precedence"},
	{"decisions", "decisions", "no rule covers"},
	{"why", "why?id=REQUEST", "What each handler said"},
	{"playground", "playground?request=GET%20/todos/7&scopes=todos:read", "The running rules"},
	{"consumers", "consumers", "todo-app"},
	{"consumer", "consumer?id=todo-app", "belongs to the configuration"},
	{"new-consumer", "consumer", "New consumer"},
	{"providers", "providers", "partners"},
	{"tokens", "tokens", "What is this token?"},
	{"sessions", "sessions", "Subject of a person"},
	{"metrics", "metrics", "a value every 15 seconds"},
	{"streams", "streams", "No stream is open"},
	{"configuration", "configuration", "Secrets are shown as markers"},
	{"changes", "changes", "link to the pages made"},
}

// Every page, in both themes and at both widths: the browser complains about
// nothing, asks no one else for anything, and axe-core finds no fault. What it looks
// like is left in .cache/ui for a person to see.
func TestUIPagesInABrowser(t *testing.T) {
	t.Parallel()
	s := startUISite(t)
	s.traffic()
	window := harness.StartBrowser(t).Window(t)
	tab := window.Tab()
	tab.Open(s.link())
	tab.WaitLocation(s.pages)
	for _, page := range uiPages {
		for _, theme := range []string{"light", "dark"} {
			for _, width := range []int{320, 1280} {
				t.Run(fmt.Sprintf("%s/%s/%d", page.name, theme, width), func(t *testing.T) {
					tab.Look(width, theme)
					tab.Open(s.pages + strings.NewReplacer("REQUEST", s.refused, "SITE", s.Addr).Replace(page.path))
					tab.WaitText(page.text)
					if overflow := tab.Eval("String(document.documentElement.scrollWidth > innerWidth)"); overflow != "false" {
						t.Error("the page is wider than the window")
					}
					keepScreenshot(t, fmt.Sprintf("%s-%s-%d.png", page.name, theme, width), tab.Screenshot())
					for _, problem := range window.Problems() {
						t.Errorf("the browser complains: %s", problem)
					}
					for _, fault := range tab.Axe() {
						t.Errorf("axe: %s", fault)
					}
				})
			}
		}
	}
	for _, address := range window.Addresses() {
		if !strings.HasPrefix(address, s.pages) {
			t.Errorf("the pages requested %s", address)
		}
	}
}

func keepScreenshot(t *testing.T, name string, png []byte) {
	t.Helper()
	dir := filepath.Join(harness.Root(), ".cache", "ui")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), png, 0o644); err != nil {
		t.Fatal(err)
	}
}
