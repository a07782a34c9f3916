// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/liveconfig"
	"github.com/caddy-gluu/gateway/internal/uilink"
	"github.com/caddy-gluu/gateway/introspect"
)

// newFileUI returns pages that edit a Caddyfile, beside an admin endpoint that has an
// empty configuration.
func newFileUI(t *testing.T, text string) *UI {
	t.Helper()
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", "one")
		answer := "{}"
		if r.URL.Path == "/gluu/ui" {
			answer = `{"instance": "` + uilink.Instance + `"}`
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(endpoint.Close)
	file := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	u := newUI(t, introspect.Running())
	u.Edit, u.ConfigFile, u.config.file = []string{"config"}, file, file
	var err error
	if u.config.endpoint, err = liveconfig.NewEndpoint(endpoint.Listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	return u
}

// What Caddy says about a mistake in a file quotes it.
func TestSec_S410_AMistakeShowsNoSecret(t *testing.T) {
	for name, text := range map[string]string{
		"one word too many": "a.com {\n\tbasic_auth {\n\t\tann hunter2hunter2 c d\n\t}\n}\n",
		"in the wrong line": "a.com {\n\theader_up Authorization \"Bearer\n\thunter2hunter2\"\n\thunter2hunter2\n}\n",
		"a heredoc":         "a.com {\n\tx <<PEM\n\t\t hunter2hunter2\n hunter2hunter2\n\t\tPEM\n}\n",
		"a bad address":     "a.com {\n\tforward_auth http://u:hunter2hunter2@x:y:z {\n\t\turi /\n\t}\n}\n",
	} {
		for _, group := range []string{"viewers", "operators", "admins"} {
			if name == "one word too many" && group == "admins" {
				continue // nothing says that it is a secret
			}
			t.Run(name+" "+group, func(t *testing.T) {
				u := newFileUI(t, text)
				page := bodyOf(t, answer(t, u, request(http.MethodGet, "/configuration", group, url.Values{})))
				_, problem, _ := strings.Cut(page, `role="alert">`)
				problem, _, _ = strings.Cut(problem, "</p>")
				if strings.Contains(problem, "hunter2") || !strings.Contains(problem, "The file cannot be") {
					t.Errorf("got %s", problem)
				}
			})
		}
	}
}

// What the directives of other modules take is shown to those alone who edit it.
func TestSec_S410_ForeignDirectivesAreShownToAdminsAlone(t *testing.T) {
	u := newFileUI(t, "a.com {\n\tcredentials {\n\t\tcolour HUSH\n\t}\n\t# HUSH\n\trespond shown\n}\n")
	u.config.history = liveconfig.OpenHistory("", u.now)
	if err := u.config.history.Note("a.com {\n\tcredentials HUSH\n}\n", "ann", "note"); err != nil {
		t.Fatal(err)
	}
	version := "/configuration-version?id=" + u.config.history.List()[0].ID
	for group, sees := range map[string]bool{"viewers": false, "operators": false, "admins": true} {
		for _, path := range []string{"/configuration", version} {
			page := bodyOf(t, answer(t, u, request(http.MethodGet, path, group, nil)))
			if strings.Contains(page, "HUSH") != sees || !strings.Contains(page, "credentials") {
				t.Errorf("%s at %s: got %s", group, path, page)
			}
		}
	}
	if n := len(u.config.history.List()); n != 1 {
		t.Errorf("looking at pages has added %d versions to the history", n-1)
	}
}
