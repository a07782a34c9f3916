// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/routemap"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// randomRules are rules with members of all kinds, with and without a place in the form.
func randomRules(random *rand.Rand) (rules scopeexpr.Document) {
	expressions := []string{
		`{"rule": {"var": 0}, "data": ["read"]}`,
		`{"rule": {"and": [{"var": 0}, {"!": [{"var": 1}]}]}, "data": ["read", "trial"]}`,
		`{"rule": {"if": [{"var": 0}, {"var": 1}, true]}, "data": ["read", "^of:(?<PC1>.+)$"]}`,
		`{"rule": {"or": [{"var": 0}, {"and": [{"var": 1}, {"var": 2}]}]}, "data": ["a b", "#", "public"]}`,
	}
	for i := range 1 + random.IntN(4) {
		rule := scopeexpr.PathRule{Path: fmt.Sprintf("/r%d/?", i)}
		for _, method := range []string{"GET", "PUT", "DELETE"}[:1+random.IntN(3)] {
			c := scopeexpr.Condition{HTTPMethods: []string{method}}
			switch n := random.IntN(len(expressions) + 2); {
			case n < len(expressions):
				if err := json.Unmarshal([]byte(expressions[n]), &c.ScopeExpression); err != nil {
					panic(err)
				}
			case n == len(expressions):
				c.Access = scopeexpr.Public
			default:
				c.Access = scopeexpr.Authenticated
			}
			if random.IntN(2) == 0 {
				c.ACR = []string{"gold", "silver"}[:1+random.IntN(2)]
			}
			if random.IntN(2) == 0 {
				c.MaxAge = 60 * (1 + random.Int64N(9))
			}
			rule.Conditions = append(rule.Conditions, c)
		}
		rules = append(rules, rule)
	}
	return rules
}

// Rules that go through the form and back are the same, whatever the form does not show;
// one that is changed leaves all others, and the rest of itself, as they are.
func TestSec_S411_AFormKeepsWhatItDoesNotShow(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 11))
	for range 500 {
		rules := randomRules(random)
		h := &ruleHandler{Handler: &routemap.Handler{Name: oauthPEP}, rules: rules}
		rows := rowsOf(rules)
		same, err := h.changedBy(rowsOfForm(formOfRows(rows)))
		if err != nil || textOf(t, same) != textOf(t, rules) {
			t.Fatalf("unchanged: got %s, %v, want %s", textOf(t, same), err, textOf(t, rules))
		}
		n := random.IntN(len(rows))
		if rows[n].IsFixed {
			continue
		}
		rows[n].Requires = "authenticated"
		changed, err := h.changedBy(rowsOfForm(formOfRows(rows)))
		if err != nil {
			t.Fatal(err)
		}
		var i, j int
		if _, err := fmt.Sscanf(rows[n].From, "%d.%d", &i, &j); err != nil {
			t.Fatal(err)
		}
		c := &rules[i].Conditions[j]
		c.Access, c.ScopeExpression = scopeexpr.Authenticated, nil
		if textOf(t, changed) != textOf(t, rules) {
			t.Fatalf("changed: got %s, want %s", textOf(t, changed), textOf(t, rules))
		}
	}
}

// formOfRows is what a browser sends for the lines of the form.
func formOfRows(rows []ruleField) url.Values {
	form := url.Values{}
	for _, row := range rows {
		for name, value := range map[string]string{"from": row.From, "path": row.Path, "methods": row.Methods, "requires": row.Requires} {
			form.Add(name, value)
		}
	}
	return form
}

func textOf(t *testing.T, rules scopeexpr.Document) string {
	t.Helper()
	text, err := json.Marshal(rules)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Rules that are loaded from the form change nothing else in the whole configuration.
func TestSec_S411_LoadedRulesChangeNothingElse(t *testing.T) {
	s, at := startRuledSite(t, "")
	before := s.running()
	b := s.open()
	form := b.rules(at)
	form["requires"][indexOf(t, form["path"], "/open")] = "authenticated"
	if status, page := b.send("rules", form); status != http.StatusSeeOther {
		t.Fatalf("got %d %s", status, page)
	}
	after := s.running()
	rules := memberAt(after, at).(map[string]any)["oauth_scope_expression"]
	if reflect.DeepEqual(before, after) {
		t.Error("nothing was changed")
	}
	memberAt(before, at).(map[string]any)["oauth_scope_expression"] = rules
	if !reflect.DeepEqual(before, after) {
		t.Errorf("something else was changed: %v, want %v", after, before)
	}
}

func indexOf(t *testing.T, values []string, value string) int {
	t.Helper()
	for i := range values {
		if values[i] == value {
			return i
		}
	}
	t.Fatalf("%q has no %q", values, value)
	return 0
}

// running is the configuration that runs, as a value.
func (s *editSite) running() (config any) {
	s.t.Helper()
	response, err := http.Get("http://" + s.admin + "/config/")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if err := decode([]byte(bodyOf(s.t, response)), &config); err != nil {
		s.t.Fatal(err)
	}
	return config
}

// Every handler has a page with its options and its JSON, also one of another module, of
// which no text is known.
func TestSec_S420_EveryHandlerHasAPage(t *testing.T) {
	foreign := `{"handler": "another_module", "colour": "red"}`
	config := []byte(`{"servers": {"srv0": {"routes": [{"handle": [` + foreign + handlersOfReference() + `]}]}}}`)
	mapped, err := routemap.New(config).Map()
	if err != nil {
		t.Fatal(err)
	}
	handles := mapped.Servers[0].Sites[0].Handle
	if len(handles) < 15 {
		t.Fatalf("got %d handlers", len(handles))
	}
	for _, h := range handles {
		visible, cut := visibleOf(h)
		page := handlerPage{Lane: laneOf(mapped.Servers[0].Sites[0], nil, h.Pointer, rowsBesideAHandler), Handler: h, Settings: settingsOf(h, visible), JSON: string(visible), IsCut: cut}
		var html strings.Builder
		if err := templates["route"].ExecuteTemplate(&html, "content", frame{Page: page}); err != nil {
			t.Fatal(err)
		}
		if text := html.String(); !strings.Contains(text, h.Name) || !strings.Contains(text, "handler&#34;:") {
			t.Errorf("%s: the page lacks its name or its JSON: %s", h.Name, text)
		}
		for name := range reference[h.Name] {
			if name != "routes" && !strings.HasSuffix(name, "_scope_expression") && !strings.Contains(html.String(), name) {
				t.Errorf("%s: the page lacks %s", h.Name, name)
			}
		}
	}
}

// handlersOfReference has a handler of each kind that the reference knows, with all of its
// options.
func handlersOfReference() string {
	var b strings.Builder
	for name, options := range reference {
		handler := map[string]any{"handler": name}
		for option := range options {
			handler[option] = "x"
		}
		text, err := json.Marshal(handler)
		if err != nil {
			panic(err)
		}
		b.WriteString("," + string(text))
	}
	return b.String()
}

// The pages need no admin endpoint: without one, only the configuration is not shown.
func TestSec_S403_ThePagesNeedNoAdminEndpoint(t *testing.T) {
	u := newUI(t, runApp(t)) // whose endpoint does not answer
	for _, r := range routes {
		if r.method != http.MethodGet || r.nav == "" {
			continue
		}
		want := http.StatusOK
		if r.path == "/configuration" {
			want = http.StatusBadGateway
		}
		if status, page := get(t, u, r.path); status != want {
			t.Errorf("%s: got %d %.300s, want %d", r.path, status, page, want)
		}
	}
}
