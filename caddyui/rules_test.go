// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/audit"
	"github.com/caddy-gluu/gateway/internal/caddytest"
	"github.com/caddy-gluu/gateway/internal/liveconfig"

	_ "github.com/caddy-gluu/gateway/caddyoauth" // gluu_oauth_pep
)

// ruled are the rules of a site beside the pages.
const ruled = `	gluu_oauth_auth {
		optional
	}
	gluu_oauth_pep {
		id todos
		path /todos {
			GET scope todos:read {
				max_age 10m
			}
			POST scope todos:write
		}
		path /open {
			GET public
		}
		path /strict/? {
			GET scope ^strict:(?<PC1>.+)$
		}
	}
	respond shown
`

func startRuledSite(t *testing.T, more string) (*editSite, string) {
	t.Helper()
	s := newEditSite(t)
	text := strings.Replace(s.siteWith("one", more), "\trespond one\n", ruled, 1)
	text = strings.Replace(text, "edit consumers config", "edit policies config", 1)
	text = strings.Replace(text, "{\n", "{\n\tgluu {\n\t\tprovider {\n\t\t\tissuer http://127.0.0.1:9\n\t\t\tclient_id a\n\t\t\tclient_secret b\n\t\t\taudience c\n\t\t}\n\t}\n", 1)
	if err := caddytest.Run(text, s.site); err != nil {
		t.Fatal(err)
	}
	_, page := s.open().get("routes")
	at := regexp.MustCompile(`route\?at=([^"]*)"[^>]*>\s*<code>gluu_oauth_pep`).FindStringSubmatch(page)
	if at == nil {
		t.Fatalf("there is no handler in %s", page)
	}
	pointer, err := url.QueryUnescape(html.UnescapeString(at[1]))
	if err != nil {
		t.Fatal(err)
	}
	return s, pointer
}

var ruleFields = regexp.MustCompile(`<input(?: type="hidden")? name="(token|at|base|from|path|methods|requires)"(?: class="mono")? value="([^"]*)"`)

// rulesForm reads the last form of a page.
func rulesForm(t *testing.T, page, action string) url.Values {
	t.Helper()
	_, page, ok := strings.Cut(page, `action="`+action+`">`)
	if !ok {
		t.Fatalf("there is no form for %s in %s", action, page)
	}
	page, _, _ = strings.Cut(page, "</form>")
	form := url.Values{}
	for _, found := range ruleFields.FindAllStringSubmatch(page, -1) {
		form.Add(found[1], html.UnescapeString(found[2]))
	}
	return form
}

func (b *browser) rules(at string) url.Values {
	b.s.t.Helper()
	status, page := b.get("rules?" + url.Values{"at": {at}}.Encode())
	if status != http.StatusOK {
		b.s.t.Fatalf("got %d %s", status, page)
	}
	return rulesForm(b.s.t, page, "rules-review")
}

// statusOf asks the site beside the pages.
func (s *editSite) statusOf(path string) int {
	s.t.Helper()
	response := s.ask(path)
	_ = response.Body.Close()
	return response.StatusCode
}

// A rule is made stricter, reviewed, loaded on trial and kept; the admin API has it then.
func TestARuleIsMadeStricter(t *testing.T) {
	s, at := startRuledSite(t, "")
	b := s.open()
	if got := s.statusOf("/open"); got != http.StatusOK {
		t.Fatalf("before: got %d", got)
	}
	form := b.rules(at)
	if fmt.Sprint(form["path"]) != "[/todos /todos /open /strict/?   ]" || fmt.Sprint(form["requires"]) != `[todos:read todos:write public ^strict:(?<PC1>.+)$   ]` {
		t.Fatalf("got %q", form)
	}
	form["requires"][2], form["methods"][2] = "todos:read and not trial", "GET, POST"
	form["path"][4], form["methods"][4], form["requires"][4] = "/new", "?", "admin"
	status, page := b.send("rules-review", form)
	for _, want := range []string{"Load them", "GET POST scope todos:read and not trial", "GET public", "max_age 600s", "/id/todos/oauth_scope_expression", "path /new {", "Whom it would lock out"} {
		if !strings.Contains(html.UnescapeString(page), want) {
			t.Errorf("the review (%d) lacks %q: %s", status, want, page)
		}
	}
	if s.statusOf("/open") != http.StatusOK {
		t.Error("a review has changed the rules")
	}
	status, page = b.send("rules", rulesForm(t, page, "rules"))
	if status != http.StatusSeeOther {
		t.Fatalf("got %d %s", status, page)
	}
	if got := s.statusOf("/open"); got != http.StatusUnauthorized {
		t.Errorf("on trial: got %d", got)
	}
	if status, page := b.confirm(); status != http.StatusSeeOther {
		t.Fatalf("got %d %s", status, page)
	}
	s.clock.pass(liveconfig.TrialTime)
	if got := s.statusOf("/open"); got != http.StatusUnauthorized {
		t.Errorf("when it is kept: got %d", got)
	}
	response, err := http.Get("http://" + s.admin + "/id/todos/oauth_scope_expression")
	if err != nil {
		t.Fatal(err)
	}
	text := bodyOf(t, response)
	for _, want := range []string{`"max_age":600`, `"httpMethods":["GET","POST"]`, `"trial"`, `"path":"/new"`, `"path":"/strict/?"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the admin API answers %s, want %s in it", text, want)
		}
	}
	if c := audit.Recent.List(0, 2)[1]; c.Change != "rules loaded" || c.Subject != at {
		t.Errorf("the audit has %+v", c)
	}
}

// What no one keeps returns, with all that others had.
func TestSec_S415_RulesThatLockOutComeBack(t *testing.T) {
	s, at := startRuledSite(t, "")
	b := s.open()
	form := b.rules(at)
	form["requires"][2] = "nobody"
	if status, page := b.send("rules", form); status != http.StatusSeeOther || s.statusOf("/open") != http.StatusUnauthorized {
		t.Fatalf("got %d %s", status, page)
	}
	s.clock.pass(liveconfig.TrialTime)
	if got := s.statusOf("/open"); got != http.StatusOK {
		t.Errorf("after a minute: got %d", got)
	}
}

// Two people change the rules of one handler.
func TestSec_S412_RulesAreNotOverwrittenUnseen(t *testing.T) {
	s, at := startRuledSite(t, "")
	first, second := s.open(), s.open()
	stale := second.rules(at)
	form := first.rules(at)
	form["requires"][1] = "first"
	if status, page := first.send("rules", form); status != http.StatusSeeOther {
		t.Fatalf("got %d %s", status, page)
	}
	first.confirm()
	stale["requires"][2] = "second"
	status, page := second.send("rules", stale)
	others, mine, _ := strings.Cut(page, "What it changes")
	if status != http.StatusPreconditionFailed || !strings.Contains(others, "POST scope first") || !strings.Contains(mine, "GET scope second") {
		t.Errorf("got %d %s", status, page)
	}
	if s.statusOf("/open") != http.StatusOK {
		t.Error("the rules were overwritten")
	}
}

func TestRulesThatCannotBeRightAreRefused(t *testing.T) {
	s, at := startRuledSite(t, "")
	b := s.open()
	for name, c := range map[string]struct {
		change func(form url.Values)
		status int
		want   string
	}{
		"no expression":   {func(f url.Values) { f["requires"][0] = "a and" }, 400, "GET /todos"},
		"no methods":      {func(f url.Values) { f["methods"][0] = "" }, 400, "no methods"},
		"a method twice":  {func(f url.Values) { f["methods"][0] = "GET POST" }, 400, "given twice"},
		"no path at all":  {func(f url.Values) { f["path"] = nil }, 400, "needs a rule"},
		"a wrong pattern": {func(f url.Values) { f["path"][0] = "/a/??/??" }, 400, "path"},
		"nothing":         {func(url.Values) {}, 303, ""},
		"another place":   {func(f url.Values) { f.Set("at", "/admin") }, 404, "No such rules"},
		"no token":        {func(f url.Values) { f.Del("token") }, 403, ""},
	} {
		t.Run(name, func(t *testing.T) {
			form := b.rules(at)
			c.change(form)
			for _, path := range []string{"rules", "rules-review"} {
				if status, page := b.send(path, form); status != c.status || !strings.Contains(page, c.want) {
					t.Errorf("%s: got %d %s, want %d %q", path, status, page, c.status, c.want)
				}
			}
			if liveconfig.Trial.Current() != nil {
				t.Error("something is on trial")
			}
		})
	}
}

// Where a Caddyfile is edited, it is offered the lines.
func TestRulesOfACaddyfileAreOfferedAsLines(t *testing.T) {
	file := t.TempDir() + "/Caddyfile"
	if err := os.WriteFile(file, []byte("# not looked at\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, at := startRuledSite(t, "\t\tconfig_file "+file+"\n")
	b := s.open()
	form := b.rules(at)
	form["requires"][2] = "nobody"
	status, page := b.send("rules-review", form)
	if status != http.StatusOK || strings.Contains(page, "Load them") || !strings.Contains(page, "path /open {\n\tGET scope nobody\n}") {
		t.Errorf("got %d %s", status, page)
	}
	if status, _ := b.send("rules", form); status != http.StatusBadRequest || s.statusOf("/open") != http.StatusOK {
		t.Errorf("loading: got %d", status)
	}
}
