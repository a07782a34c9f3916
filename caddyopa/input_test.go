// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// pdp is a policy server that grants everything and keeps the questions.
type pdp struct {
	*httptest.Server
	asked  []map[string]any
	header http.Header
	answer func(http.ResponseWriter)
}

func newPDP(t testing.TB) *pdp {
	p := new(pdp)
	p.answer = func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"result": {"allow": true}}`)
	}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		decoder := json.NewDecoder(r.Body)
		decoder.UseNumber()
		var question map[string]any
		if err := decoder.Decode(&question); err != nil {
			t.Errorf("the question is not JSON: %v", err)
		}
		p.asked, p.header = append(p.asked, question), r.Header
		p.answer(w)
	}))
	t.Cleanup(p.Close)
	return p
}

// input is that of the last question.
func (p *pdp) input() map[string]any {
	if len(p.asked) == 0 {
		return nil
	}
	input, _ := p.asked[len(p.asked)-1]["input"].(map[string]any)
	return input
}

func text2(value any) string {
	b, _ := json.Marshal(value)
	return string(b)
}

// Every member of the document, as a policy server sees it.
func TestTheInputOfGluu(t *testing.T) {
	p := newPDP(t)
	w := newWorld(t)
	w.run(w.config("", authenticate+"gluu_opa_pep {\n url "+p.URL+"/v1/data/httpapi/authz\n body json\n context tenant acme\n context agent {http.request.header.User-Agent}\n}"))
	got := w.send("POST", "/a//b%20c/?x=1&x=2&flag&plus=a+b&empty=", "good", `{"n": 12345678901234567890.5, "l": [null, true]}`, func(r *http.Request) {
		r.Header.Set("Content-Type", "application/vnd.x+json")
		r.Header.Set("User-Agent", "test")
		r.Header["X-Twice"] = []string{"1", "2"}
		r.Header.Set("Cookie", "session=secret")
		r.Header.Set("Proxy-Authorization", "Basic x")
	})
	if got.StatusCode != 200 {
		t.Fatalf("got %d %s", got.StatusCode, got.text)
	}
	in := p.input()
	for name, want := range map[string]string{
		"method": `"POST"`, "scheme": `"http"`, "protocol": `"HTTP/1.1"`, "client_ip": `"127.0.0.1"`, "host": `"` + w.address + `"`,
		"path": `["a","b c",""]`, "raw_path": `"/a//b%20c/"`,
		"uri_args":   `{"empty":"","flag":true,"plus":"a b","x":["1","2"]}`,
		"body":       `{"l":[null,true],"n":12345678901234567890.5}`,
		"body_state": `"complete"`,
		"client_id":  `"0123456789"`, "scopes": `["todos:read","todos:write"]`, "anonymous": `false`, "userinfo": `{}`, "rule": `null`, "captures": `[]`,
		"context": `{"agent":"test","tenant":"acme"}`,
	} {
		if got := text2(in[name]); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	claims := in["request_token_data"].(map[string]any)
	if text2(claims["big"]) != "12345678901234567890" || claims["sub"] != "ann" || claims["consumer"].(map[string]any)["username"] != "partner" {
		t.Errorf("request_token_data: %s", text2(claims))
	}
	headers := in["headers"].(map[string]any)
	if text2(headers["x-twice"]) != `["1","2"]` || headers["host"] != w.address || headers["x-consumer-username"] != "partner" {
		t.Errorf("headers: %s", text2(headers))
	}
	if text := text2(p.asked); strings.Contains(text, "Bearer") || strings.Contains(text, "session=secret") || strings.Contains(text, "Basic x") {
		t.Errorf("a credential is shown: %s", text)
	}
	if id, _ := in["decision_id"].(string); len(id) != 36 {
		t.Errorf("decision_id: %q", id)
	}
	if last := w.last(); last.RequestURI != "/a/b%20c/?x=1&x=2&flag&plus=a+b&empty=" || string(last.body) != `{"n": 12345678901234567890.5, "l": [null, true]}` {
		t.Errorf("the upstream received %s %s", last.RequestURI, last.body)
	}
}

// A policy that is asked about a consumer gets who it is, and nothing that proves it.
func TestSec_S319_NoCredentialOfAConsumer(t *testing.T) {
	p := newPDP(t)
	w := newWorld(t)
	w.run(w.config("", authenticate+"gluu_opa_pep {\n url "+p.URL+"\n}"))
	w.get("/", "good")
	consumer := p.input()["consumer"].(map[string]any)
	if consumer["username"] != "partner" || consumer["custom_id"] != "0123456789" || text2(consumer["tags"]) != `["gold"]` || len(consumer) != 4 {
		t.Errorf("the consumer is %s", text2(consumer))
	}
}

func TestHeadersThatAreShown(t *testing.T) {
	for options, want := range map[string]map[string]bool{
		"":                         {"x-a": true, "authorization": false, "cookie": false, "dpop": false, "host": true},
		"headers all":              {"x-a": true, "authorization": true, "cookie": true, "dpop": true, "host": true},
		"headers none":             {"x-a": false, "authorization": false, "host": false},
		"headers cookie X-B":       {"x-a": false, "authorization": false, "cookie": true, "x-b": true, "host": false},
		"headers X-A\nheaders x-b": {"x-a": true, "x-b": true, "cookie": false},
	} {
		t.Run(options, func(t *testing.T) {
			p := newPDP(t)
			w := newWorld(t)
			if strings.Count(options, "headers") > 1 {
				options = strings.Replace(options, "\nheaders", "", 1)
			}
			w.run(w.config("", authenticate+"gluu_opa_pep {\n url "+p.URL+"\n"+options+"\n}"))
			w.send("GET", "/", "good", "", func(r *http.Request) {
				r.Header = http.Header{"Authorization": {"Bearer good"}, "Cookie": {"a=b"}, "Dpop": {"x"}, "X-A": {"1"}, "X-B": {"2"}}
			})
			headers, _ := p.input()["headers"].(map[string]any)
			for name, shown := range want {
				if _, ok := headers[name]; ok != shown {
					t.Errorf("%s is shown: %t, want %t; %v", name, ok, shown, headers)
				}
			}
		})
	}
}

// What a policy cannot be shown in full is refused, whatever the policy says.
func TestSec_S302_NothingIsCutOff(t *testing.T) {
	const policy = "package httpapi.authz\n\ndefault allow := false\n\nallow if not input.uri_args.admin\nallow if not input.headers[\"x-admin\"]\n"
	w := newWorld(t).start(policy, "")
	arguments := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "&a%d=1", i)
		}
		return b.String()[1:]
	}
	for target, want := range map[string]int{
		"/?" + arguments(256):            200,
		"/?" + arguments(256) + "&admin": 400,
		"/?" + strings.Repeat("&", 1000): 200,
		"/?a=%zz":                        400,
		"/?a=%ff":                        400,
		"/?%ff=a":                        400,
		"/?a=b;c=d":                      400,
		"/?a=%3b":                        200,
	} {
		if got := w.get(target, "good"); got.StatusCode != want {
			t.Errorf("%.60s: got %d %s, want %d", target, got.StatusCode, got.text, want)
		}
	}
	w.wantReason(400, "malformed_request", w.get("/?a=%zz", "good"))
	fields := func(n int) func(*http.Request) {
		return func(r *http.Request) {
			for i := range n {
				r.Header.Set(fmt.Sprintf("X-%d", i), "1")
			}
		}
	}
	if got := w.send("GET", "/", "good", "", fields(150)); got.StatusCode != 200 {
		t.Errorf("150 fields: got %d", got.StatusCode)
	}
	w.wantReason(431, "too_many_fields", w.send("GET", "/", "good", "", fields(220)))
	w.wantReason(400, "malformed_request", w.send("GET", "/", "good", "", func(r *http.Request) { r.Header.Set("X-Admin", "\xff") }))
}

// The path that a policy sees is decoded once.
func TestSec_S310_ThePathIsDecodedOnce(t *testing.T) {
	p := newPDP(t)
	w := newWorld(t)
	w.run(w.config("", authenticate+"gluu_opa_pep {\n url "+p.URL+"\n}"))
	for target, want := range map[string]string{
		"/a%2525b":   `["a%25b"]`,
		"/a%2541":    `["a%41"]`,
		"/%61":       `["a"]`,
		"/":          `[""]`,
		"/a/":        `["a",""]`,
		"/a%2Bb":     `["a+b"]`,
		"/%E2%82%AC": `["€"]`,
	} {
		if got := w.get(target, "good"); got.StatusCode != 200 || text2(p.input()["path"]) != want {
			t.Errorf("%s: got %d, path %s, want %s", target, got.StatusCode, text2(p.input()["path"]), want)
		}
	}
}

// A path that a policy and an upstream could split differently is refused.
func TestSec_S311_AmbiguousPathsAreNotDecidedAbout(t *testing.T) {
	w := newWorld(t).start(allowAll, "")
	for _, target := range []string{"/folder%2fcommand", "/a/..;/b", "/a/%2e%2e/b", "/a;x=y", `/a\b`, "/a%5cb", "/a%00b", "/%ff"} {
		w.wantReason(400, "ambiguous_path", w.send("GET", "/", "good", "", func(r *http.Request) { r.URL.Opaque = "//" + w.address + target }))
	}
	if w.count() != 0 {
		t.Errorf("the upstream received %d requests", w.count())
	}
	if got := w.get("/folder//command", "good"); got.StatusCode != 200 || w.last().RequestURI != "/folder/command" {
		t.Errorf("got %d, the upstream received %s", got.StatusCode, w.last().RequestURI)
	}
}

func TestKeptSlashesAreCharacters(t *testing.T) {
	const policy = "package httpapi.authz\n\ndefault allow := false\n\nallow if input.path == [\"projects\", \"group/project\"]\n"
	w := newWorld(t).start(policy, "encoded_slashes keep")
	if got := w.get("/projects/group%2Fproject", "good"); got.StatusCode != 200 || w.last().RequestURI != "/projects/group%2Fproject" {
		t.Errorf("got %d %s", got.StatusCode, got.text)
	}
	if got := w.get("/projects/group/project", "good"); got.StatusCode != 403 {
		t.Errorf("got %d, want 403", got.StatusCode)
	}
}
