// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/audit"
	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/internal/status"
)

// post sends a form of a page of ours.
func post(t *testing.T, u *UI, path, group string, form url.Values) *http.Response {
	t.Helper()
	form.Set("token", tokenOf(u, group))
	return answer(t, u, request(http.MethodPost, path, group, form))
}

func get(t *testing.T, u *UI, path string) (int, string) {
	t.Helper()
	response := answer(t, u, request(http.MethodGet, path, "admins", nil))
	return response.StatusCode, bodyOf(t, response)
}

// What clients have sent is text on every page that shows it, in the row of the tail
// too.
func TestSec_S424_WhatClientsSendIsText(t *testing.T) {
	u := newUI(t, runApp(t))
	const markup = `"><script>alert(1)</script><img src=x onerror=alert(1)><b hx-get="/x">'`
	evil := func(field string) string { return field + markup + "\u202e\x1b[2J\u3164\r\n" }
	shown := func(field string) string { return field + template.HTMLEscapeString(markup[:10]) } // long ones are cut
	fields := strings.Fields("method host path address reason rule operation client consumer provider required scope enough detail description")
	decisions.Recent.Add(&decisions.Refused{
		RequestID: "evil-1", Method: evil("method"), Host: evil("host"), Path: "/" + evil("path"), ClientIP: evil("address"), Status: 403, Reason: evil("reason"), Rule: evil("rule"), Operation: evil("operation"),
		ClientID: evil("client"), Consumer: evil("consumer"), Provider: evil("provider"), Required: evil("required"), Scopes: []string{evil("scope")}, Enough: evil("enough"),
		Detail: evil("detail"), Description: evil("description"), Error: evil("error"),
	})
	query := func(field string) string { return "=" + url.QueryEscape(evil(field)) }
	for path, want := range map[string][]string{
		"/decisions": strings.Fields("method host path rule consumer"),
		"/decisions?q" + query("text") + "&reason" + query("reason") + "&host" + query("name"): {"text", "name"},
		"/why?id=evil-1":                                       fields,
		"/why?id" + query("id"):                                {"id"},
		"/consumers?q" + query("text"):                         {"text"},
		"/sessions?sub" + query("sub") + "&iss" + query("iss"): {"sub", "iss"},
		"/playground?request" + query("request") + "&host" + query("host") + "&scopes" + query("scopes"): {"request", "host", "scopes"},
		"/?done" + query("done") + "&n=1": nil,
	} {
		_, page := get(t, u, path)
		for _, wrong := range []string{"<script>alert", "<img", "<b hx-", "\u202e", "\x1b", "\u3164", "\r"} {
			if strings.Contains(page, wrong) {
				t.Errorf("%s contains %q", path, wrong)
			}
		}
		for _, field := range want {
			if !strings.Contains(page, shown(field)) {
				t.Errorf("%s does not show the %s", path, field)
			}
		}
	}
	var row strings.Builder
	for _, d := range decisions.Recent.Find("evil-1") {
		if err := templates["decisions"].ExecuteTemplate(&row, "decision", d); err != nil {
			t.Fatal(err)
		}
	}
	text := row.String()
	if strings.Contains(text, "<script") || strings.Contains(text, "<img") || strings.Contains(text, "<b hx-") || !strings.Contains(text, "why?id=evil-1") {
		t.Errorf("the row of the tail is %s", text)
	}
	for field := range strings.FieldsSeq("method host path rule consumer") {
		if !strings.Contains(text, shown(field)) {
			t.Errorf("the row of the tail does not show the %s: %s", field, text)
		}
	}
}

func TestWhyARequestWasRefused(t *testing.T) {
	u := newUI(t, runApp(t))
	decisions.Recent.Add(&decisions.Refused{
		RequestID: "why-1", Method: "POST", Host: "api.example.com", Path: "/todos", Status: 403, Reason: "scope_missing", Rule: "/todos",
		ClientID: "app", Required: "todos:write", Scopes: []string{"todos:read"}, Enough: "todos:read todos:write",
	})
	status, page := get(t, u, "/why?id=why-1")
	for _, want := range []string{"POST /todos", "does not have the scopes", "<li class=\"chip lacks\">todos:write</li>", "<li class=\"chip has\">todos:read</li>", "api.example.com"} {
		if status != http.StatusOK || !strings.Contains(page, want) {
			t.Errorf("got %d without %q: %s", status, want, page)
		}
	}
	if status, page := get(t, u, "/why?id=unknown"); status != http.StatusNotFound || !strings.Contains(page, "remembers no refusal") {
		t.Errorf("an unknown id: got %d", status)
	}
	if _, page := get(t, u, "/decisions?client=app&reason=scope_missing"); !strings.Contains(page, "why?id=why-1") {
		t.Errorf("the list lacks the refusal: %s", page)
	}
	if _, page := get(t, u, "/decisions?client=app&status=401"); strings.Contains(page, "why?id=why-1") {
		t.Error("the filter lets another status pass")
	}
	if status, _ := get(t, u, "/decisions?status=many"); status != http.StatusBadRequest {
		t.Errorf("a status that is none: got %d", status)
	}
}

// From creating to deleting, with a second admin in between.
func TestSec_S412_AConsumerIsNotOverwrittenUnseen(t *testing.T) {
	u := newUI(t, runApp(t))
	created := post(t, u, "/consumer", "admins", url.Values{"username": {"acme"}, "custom_id": {"acme-app"}, "groups": {"partners\r\n\r\n internal \r\n"}})
	address, err := url.Parse(created.Header.Get("Location"))
	if err != nil || created.StatusCode != http.StatusSeeOther {
		t.Fatalf("got %s %s", created.Status, bodyOf(t, created))
	}
	id := address.Query().Get("id")
	c := u.app.Directory().Find("acme")
	if c == nil || c.ID != id || fmt.Sprint(c.Groups) != "[partners internal]" {
		t.Fatalf("got %+v", c)
	}
	if _, page := get(t, u, "/consumers?q=PARTNER"); !strings.Contains(page, ">acme</a>") {
		t.Errorf("the search does not find it: %s", page)
	}
	seen := stateOf(c)
	other := post(t, u, "/consumer", "admins", url.Values{"id": {id}, "state": {seen}, "username": {"acme"}, "custom_id": {"acme-2"}})
	if other.StatusCode != http.StatusSeeOther {
		t.Fatalf("the other admin: got %s", other.Status)
	}
	late := post(t, u, "/consumer", "admins", url.Values{"id": {id}, "state": {seen}, "username": {"late"}})
	if page := bodyOf(t, late); late.StatusCode != http.StatusPreconditionFailed || !strings.Contains(page, "Someone else has changed") || !strings.Contains(page, `value="late"`) {
		t.Errorf("got %s %s, want 412 with what was written", late.Status, page)
	}
	if got := post(t, u, "/consumer-delete", "admins", url.Values{"id": {id}, "state": {seen}}); got.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("deleting what was changed: got %s", got.Status)
	}
	if got := post(t, u, "/consumer", "admins", url.Values{"username": {"acme"}}); got.StatusCode != http.StatusConflict {
		t.Errorf("the same name: got %s", got.Status)
	}
	if got := post(t, u, "/consumer", "admins", url.Values{}); got.StatusCode != http.StatusBadRequest {
		t.Errorf("without a name: got %s", got.Status)
	}
	now := stateOf(u.app.Directory().Find(id))
	if got := post(t, u, "/consumer-delete", "admins", url.Values{"id": {id}, "state": {now}}); got.StatusCode != http.StatusSeeOther || u.app.Directory().Find(id) != nil {
		t.Errorf("deleting: got %s", got.Status)
	}
}

// edit none makes the pages read-only for everyone, and the forms go.
func TestEditNone(t *testing.T) {
	u := newUI(t, runApp(t))
	u.Edit = []string{"none"}
	for _, r := range routes {
		if !r.changes {
			continue
		}
		if got := post(t, u, r.path, "admins", url.Values{"username": {"x"}, "what": {"all"}}); got.StatusCode != http.StatusForbidden || !strings.Contains(bodyOf(t, got), "edit none") {
			t.Errorf("%s: got %s", r.path, got.Status)
		}
	}
	if _, page := get(t, u, "/tokens"); strings.Contains(page, `action="forget"`) {
		t.Error("there is a form that is refused")
	}
	if u.app.Directory().Find("x") != nil {
		t.Error("a consumer was created")
	}
}

// More than a page of consumers: each is on one page.
func TestSec_S419_AllConsumersCanBeReached(t *testing.T) {
	u := newUI(t, runApp(t))
	const n = consumersOnAPage*2 + 7
	for i := range n {
		if got := post(t, u, "/consumer", "admins", url.Values{"username": {fmt.Sprintf("consumer-%03d", i)}}); got.StatusCode != http.StatusSeeOther {
			t.Fatalf("got %s", got.Status)
		}
	}
	seen, path := map[string]bool{}, "/consumers"
	for pages := 0; path != "" && pages < 10; pages++ {
		_, page := get(t, u, path)
		path = ""
		for line := range strings.Lines(page) {
			if _, rest, ok := strings.Cut(line, `<a href="consumer?id=`); ok {
				_, rest, _ = strings.Cut(rest, ">")
				name, _, _ := strings.Cut(rest, "<")
				seen[name] = true
			}
			if _, rest, ok := strings.Cut(line, `href="consumers?offset=`); ok {
				rest, _, _ = strings.Cut(rest, `"`)
				path = "/consumers?offset=" + strings.ReplaceAll(rest, "&amp;", "&")
			}
		}
	}
	if len(seen) != n {
		t.Errorf("got %d consumers on all pages, want %d", len(seen), n)
	}
	if _, page := get(t, u, "/consumers?q=consumer-"); !strings.Contains(page, "the first 50") {
		t.Error("a search that finds more than it shows does not say so")
	}
}

func TestThePlayground(t *testing.T) {
	u := newUI(t, runApp(t))
	document := func(scope string) string {
		return `[{"path": "/todos/?", "conditions": [{"httpMethods": ["GET"], "scope_expression": {"rule": {"and": [{"var": 0}]}, "data": ["` + scope + `"]}}]}]`
	}
	got := post(t, u, "/playground", "viewers", url.Values{
		"request": {"GET /todos/7"}, "scopes": {"todos:read"}, "draft_a": {document("todos:read")}, "draft_b": {document("todos:admin")}, "access_token": {"a-token-that-must-not-come-back"},
	})
	page := bodyOf(t, got)
	if got.StatusCode != http.StatusOK || strings.Contains(page, "must-not-come-back") {
		t.Fatalf("got %s %s", got.Status, page)
	}
	for _, want := range []string{"allowed", "refused", "has it", "lacks it", "<code>/todos/?</code>", "no handler with rules"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q: %s", want, page)
		}
	}
	for name, form := range map[string]url.Values{
		"not a request":   {"request": {"todos"}},
		"an unclear path": {"request": {"GET /a/..%2fb"}},
	} {
		if got := post(t, u, "/playground", "viewers", form); got.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %s", name, got.Status)
		}
	}
	broken := bodyOf(t, post(t, u, "/playground", "viewers", url.Values{"request": {"GET /"}, "draft_a": {"[{]"}}))
	if !strings.Contains(broken, "problem") {
		t.Error("a draft that is not a document is not complained about")
	}
}

// A pasted token is never in an address or in a page.
func TestSec_S426_ATokenIsOnlyInTheBody(t *testing.T) {
	u := newUI(t, runApp(t))
	const raw = "a-token-that-must-not-come-back"
	got := post(t, u, "/tokens", "viewers", url.Values{"access_token": {raw}})
	if page := bodyOf(t, got); strings.Contains(page, raw) || strings.Contains(got.Header.Get("Location"), raw) {
		t.Error("the answer has the token")
	}
	if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("got %v", got.Header)
	}
	for _, r := range routes {
		if r.method != http.MethodGet || r.least == nobody || r.live {
			continue
		}
		_, page := get(t, u, r.path)
		for form := range strings.SplitSeq(page, "<form ") {
			if tag, _, _ := strings.Cut(form, "</form>"); strings.Contains(tag, `name="access_token"`) && !strings.HasPrefix(tag, `method="post"`) {
				t.Errorf("%s sends a token by GET", r.path)
			}
		}
	}
}

// Who changed what, from where, without what was secret.
func TestChangesAreListed(t *testing.T) {
	u := newUI(t, runApp(t))
	if got := post(t, u, "/consumer", "admins", url.Values{"username": {"audited <b>"}}); got.StatusCode != http.StatusSeeOther {
		t.Fatalf("got %s", got.Status)
	}
	id := u.app.Directory().Find("audited <b>").ID
	last := audit.Recent.List(0, 1)[0]
	want := audit.Change{Number: last.Number, Time: last.Time, By: "ann", Role: "admin", From: audit.Pages, Address: "192.0.2.1", Change: "consumer saved", Subject: id}
	if last != want {
		t.Errorf("got %+v, want %+v", last, want)
	}
	if refused := post(t, u, "/consumer", "viewers", url.Values{"username": {"x"}}); refused.StatusCode != http.StatusForbidden || audit.Recent.List(0, 1)[0] != last {
		t.Error("a refused change is recorded")
	}
	_, page := get(t, u, "/changes")
	for _, text := range []string{id, "consumer saved", "192.0.2.1", "ann"} {
		if !strings.Contains(page, text) {
			t.Errorf("the page lacks %q", text)
		}
	}
	if _, page := get(t, u, "/changes?before=1"); strings.Contains(page, id) || !strings.Contains(page, "no older changes") {
		t.Error("before the first change there is one")
	}
	if status, _ := get(t, u, "/changes?before=x"); status != http.StatusBadRequest {
		t.Errorf("got %d", status)
	}
}

func TestUMAResourcesAreFound(t *testing.T) {
	named := func(n int, state string) (list []status.Resource) {
		for i := range n {
			list = append(list, status.Resource{Name: fmt.Sprintf("GET /%s/%d", state, i), State: state, ID: fmt.Sprintf("id-%d", i), Scopes: []string{"read:" + state}, Rules: []string{"GET /rule"}})
		}
		return list
	}
	handlers := []status.UMA{{Hosts: []string{"a"}, Resources: named(150, status.Registered)}, {Hosts: []string{"b"}}, {Hosts: []string{"c"}, Resources: named(3, status.Missing)}}
	for name, c := range map[string]struct {
		page   umaPage
		offset int
		sites  string // host and number of resources
		total  int
		next   string
	}{
		"all":       {umaPage{}, 0, "a:100 b:0", 153, "uma?offset=100&q=&state="},
		"second":    {umaPage{}, 100, "a:50 c:3", 153, ""},
		"beyond":    {umaPage{}, 1000, "", 153, ""},
		"by state":  {umaPage{State: status.Missing}, 0, "c:3", 3, ""},
		"by name":   {umaPage{Query: "REGISTERED/149"}, 0, "a:1", 1, ""},
		"by scope":  {umaPage{Query: "read:missing"}, 0, "c:3", 3, ""},
		"by id":     {umaPage{Query: "id-2"}, 0, "a:11 c:1", 12, ""},
		"by rule":   {umaPage{Query: "get /rule", State: status.Missing}, 0, "c:3", 3, ""},
		"not there": {umaPage{Query: "nothing"}, 0, "", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.page.fill(handlers, c.offset)
			var sites []string
			for _, s := range c.page.Sites {
				sites = append(sites, fmt.Sprintf("%s:%d", s.Hosts[0], len(s.Shown)))
			}
			if got := strings.Join(sites, " "); got != c.sites || c.page.Total != c.total || c.page.Next != c.next || c.page.Missing != 3 {
				t.Errorf("got %q, %d in all, next %q, %d missing", got, c.page.Total, c.page.Next, c.page.Missing)
			}
		})
	}
}

func TestAges(t *testing.T) {
	for seconds, want := range map[float64]string{0: "less than a second", 42.9: "42s", 60: "1m", 3725: "1h2m", 86400: "1 day", 200000: "2 days"} {
		if got := age(seconds); got != want {
			t.Errorf("%v: got %q, want %q", seconds, got, want)
		}
	}
}

func TestTextsAreFoundInAnyCase(t *testing.T) {
	for _, c := range []struct {
		text, wanted string
		want         bool
	}{
		{"todo-app", "todo", true}, {"Todo-App", "o-a", true}, {"todo-app", "app", true}, {"TODO-APP", "todo-app", true}, {"ttodo", "tod", true},
		{"todo", "todo-app", false}, {"todo", "x", false}, {"", "x", false}, {"", "", true}, {"todo", "", true}, {"1-2-3", "2-3", true},
		{"Ärger", "ärger", true}, {"größe", "GRÖSSE", false}, {"größe-App", "app", true}, {"é", "e", false},
	} {
		if got := containsFold(c.text, c.wanted); got != c.want {
			t.Errorf("%q in %q: got %v", c.wanted, c.text, got)
		}
	}
}

// The pages show what handlers and engines say, as text.
func TestUMAAndOPAAreShown(t *testing.T) {
	app := runApp(t)
	const evil = `<script>alert(1)</script>`
	now := time.Now()
	problem := &status.Problem{Time: now, Error: "no answer " + evil}
	app.AddUMA(func() status.UMA {
		return status.UMA{
			Hosts: []string{"photos.example.com"}, Provider: "default", Issuer: "https://as.example.com", Registration: "on", Problem: problem, NextAttempt: &now, ObtainsRPT: true,
			Resources: []status.Resource{{Name: "GET /photos" + evil, State: status.Missing, Scopes: []string{"photos:view"}, Rules: []string{"GET /photos"}}, {ID: "r-7", State: status.Existing}},
			Left:      []status.Resource{{Name: "GET /old", ID: "r-0"}}, Tickets: status.Tickets{Issued: 12345, Failed: 2, Limited: 1},
		}
	})
	app.AddDecider(func() status.Decider {
		return status.Decider{Hosts: []string{"reports.example.com"}, Kind: "opa", By: "http://127.0.0.1:8181/v1/data/a", Breaker: "open", Problem: problem}
	})
	u := newUI(t, app)
	for path, texts := range map[string][]string{
		"/uma":               {"photos.example.com", "1 resource is", "1 of 2 missing", "No answer &lt;script", "photos:view", "r-7", "GET /old", "2 failed", "obtain_rpt", `href="uma?state=missing"`},
		"/uma?state=missing": {"photos:view", "Clear"},
		"/uma?q=nothing":     {"No resource fits"},
		"/opa":               {"reports.example.com", "OPA at", "http://127.0.0.1:8181/v1/data/a", "open", "No answer &lt;script"},
	} {
		code, page := get(t, u, path)
		if code != http.StatusOK || strings.Contains(page, evil) {
			t.Errorf("%s: got %d %s", path, code, page)
		}
		for _, text := range texts {
			if !strings.Contains(page, text) {
				t.Errorf("%s lacks %s", path, text)
			}
		}
	}
}

func TestEnginesAreShown(t *testing.T) {
	var page strings.Builder
	now := time.Now()
	engines := []status.Engine{
		{Name: "files", Ready: true, Revision: "r1", Since: now, Modules: 1, Files: []string{"/etc/p.rego"}, Watched: true, Problem: &status.Problem{Time: now, Error: "p.rego:3: wrong"}},
		{Name: "bundles", Ready: true, Stale: true, Revision: "r2", Since: now, Modules: 2, Age: 3725, MaxStale: 3600, Bundles: []status.Bundle{{Name: "authz", Server: "https://b.example.com", Revision: "r2", Checked: now, Problem: &status.Problem{Time: now, Error: "status 500"}}, {Name: "new"}}},
		{Name: "empty"},
	}
	if err := templates["opa"].ExecuteTemplate(&page, "content", frame{Page: opaPage{status.OPA{Engines: engines}, now}}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"newer policies cannot be used", "P.rego:3: wrong.", "/etc/p.rego", "<code>watch</code>", "too old", "1h2m", "used for 1h0m at most", "not updated", "not here yet", "Status 500.", "no policies"} {
		if !strings.Contains(page.String(), text) {
			t.Errorf("the page lacks %s", text)
		}
	}
}
