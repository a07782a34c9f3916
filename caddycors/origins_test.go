// SPDX-License-Identifier: Apache-2.0

package caddycors

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestOrigins(t *testing.T) {
	for _, c := range []struct {
		entry   string
		allowed []string
		refused []string
	}{
		{"https://app.example.com",
			[]string{"https://app.example.com", "https://app.example.com:443", "HTTPS://APP.example.COM"},
			[]string{"http://app.example.com", "https://app.example.com:8443", "https://app.example.com.evil.example", "https://evil.example/https://app.example.com",
				"https://app.example.com/", "https://user@app.example.com", "https://app.example.com#", "null", "", "app.example.com", "https://app.example.com%00"}},
		{"http://localhost:3000", []string{"http://localhost:3000"}, []string{"http://localhost", "http://localhost:30000"}},
		{"https://app.example.com:443", []string{"https://app.example.com"}, []string{"https://app.example.com:80"}},
		// Expressions match as a whole, anchored or not.
		{`https://[a-z]+\.example\.com`,
			[]string{"https://a.example.com", "https://A.example.com", "https://a.example.com:443"},
			[]string{"https://a.example.com.evil.example", "https://a.example.com:8443", "http://a.example.com", "xhttps://a.example.com", "https://a.b.example.com"}},
		{`^https://[a-z]+\.example\.com$`, []string{"https://a.example.com"}, []string{"https://a.example.com.evil.example"}},
		{`https://a\.example|https://b\.example`, []string{"https://a.example", "https://b.example"}, []string{"https://a.examplehttps://b.example", "https://b.example.evil"}},
		// Without a colon: about the host, whatever scheme and port.
		{`(.+\.)?example\.com`, []string{"https://example.com", "http://a.example.com:8080"}, []string{"https://evilexample.com", "https://example.com.evil"}},
		// What only Perl knows.
		{`https://(?!evil)[a-z]+\.example\.com`, []string{"https://good.example.com"}, []string{"https://evil.example.com"}},
		{"null", []string{"null"}, []string{"https://null", ""}},
		{"myapp://callback", []string{"myapp://callback"}, []string{"https://callback"}},
	} {
		o, err := parseOrigins([]string{c.entry})
		if err != nil {
			t.Errorf("%s: %v", c.entry, err)
			continue
		}
		for _, origin := range c.allowed {
			if !o.allow(origin) {
				t.Errorf("%s refuses %s", c.entry, origin)
			}
		}
		for _, origin := range c.refused {
			if o.allow(origin) {
				t.Errorf("%s allows %s", c.entry, origin)
			}
		}
	}
}

func TestWrongConfigurationsAreRefused(t *testing.T) {
	for _, c := range []struct{ config, want string }{
		{"gluu_cors https://app.example.com", "write 'origins https://app.example.com' into the block"},
		{"gluu_cors {\n origin https://a.example\n}", `there is no "origin"`},
		{"gluu_cors {\n origins\n}", "one or more values"},
		{"gluu_cors {\n origins \"\"\n}", "an origin is empty"},
		{"gluu_cors {\n origins app.example.com\n}", "write https://app.example.com"},
		{"gluu_cors {\n origins https://app.example.com/\n}", "write https://app.example.com"},
		{"gluu_cors {\n origins https://app.example.com/path\n}", "has a path"},
		{"gluu_cors {\n origins https://*.example.com\n}", `write https://[a-z0-9-]+\.example\.com`},
		{"gluu_cors {\n origins *.example.com\n}", `write [a-z0-9-]+\.example\.com`},
		{"gluu_cors {\n origins (\n}", "not a valid regular expression"},
		{"gluu_cors {\n credentials true\n}", "every web page act as its visitor"},
		{"gluu_cors {\n origins *\n credentials true\n}", "name the origins"},
		{"gluu_cors {\n origins https://a.example *\n credentials true\n}", "name the origins"},
		{"gluu_cors {\n origins .+\n credentials true\n}", "matches any origin"},
		{"gluu_cors {\n origins https?://.*\n credentials true\n}", "matches any origin"},
		{"gluu_cors {\n origins null\n credentials true\n}", "leave out null"},
		{"gluu_cors {\n credentials yes\n}", "true or false"},
		{"gluu_cors {\n methods get\n}", "write GET"},
		{"gluu_cors {\n methods *\n}", "not a valid method"},
		{"gluu_cors {\n methods GET|POST\n}", "not a valid method"},
		{"gluu_cors {\n headers X:Y\n}", "not a valid header name"},
		{"gluu_cors {\n exposed_headers \"X Y\"\n}", "not a valid header name"},
		{"gluu_cors {\n max_age -1\n}", "cannot be negative"},
		{"gluu_cors {\n max_age soon\n}", "number of seconds"},
		{"gluu_cors {\n max_age -500ms\n}", "max_age cannot be negative, got -500ms"},
		{"gluu_cors {\n max_age -1h\n}", "max_age cannot be negative"},
		{"gluu_cors {\n max_age 500ms\n}", "whole seconds"},
		{"gluu_cors {\n max_age 1500ms\n}", "whole seconds"},
		{"gluu_cors {\n max_age 5\n max_age 1h\n}", "max_age is set twice"},
		{"gluu_cors {\n origins https://a.example\n credentials false\n credentials true\n}", "credentials is set twice"},
		{"gluu_cors {\n preflight_continue false\n preflight_continue true\n}", "preflight_continue is set twice"},
		{"gluu_cors {\n private_network false\n private_network true\n}", "private_network is set twice"},
	} {
		_, err := load(c.config)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.config, err, c.want)
		}
		if err != nil && !strings.Contains(err.Error(), "Testfile:") {
			t.Errorf("%q: %v names no line", c.config, err)
		}
	}
}

func TestWrongOptionsAreRefusedWithTheirLine(t *testing.T) {
	for _, c := range []struct {
		block string // its first line is line 2
		line  int
		want  string
	}{
		{"max_age 5\norigins app.example.com", 3, "write https://app.example.com"},
		{"max_age 5\nmethods GET\nmethods post\ncredentials false", 4, "write POST"},
		{"max_age 5\nheaders X:Y\nmethods GET", 3, `headers: "X:Y" is not a valid header name`},
		{"exposed_headers X-A\nexposed_headers X:Y\nmethods GET", 3, `exposed_headers: "X:Y" is not a valid header name`},
		{"methods GET\nmax_age -1\nheaders X-A", 3, "max_age cannot be negative, got -1"},
		{"methods GET\nmax_age soon\nheaders X-A", 3, "number of seconds"},
		{"credentials true\nmethods GET", 1, "name the origins"}, // about the whole
	} {
		_, err := load("gluu_cors {\n" + c.block + "\n}")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasSuffix(err.Error(), fmt.Sprintf(", at Testfile:%d", c.line)) {
			t.Errorf("%q: got %v, want %q and line %d", c.block, err, c.want, c.line)
		}
	}
}

func TestJSONHasKongsNames(t *testing.T) {
	c := mustLoad(t, `gluu_cors {
		origins https://a.example https://b.example
		methods GET POST
		headers Authorization
		exposed_headers X-Total
		credentials on
		max_age 3600
		preflight_continue true
		private_network true
	}`)
	got, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"origins":["https://a.example","https://b.example"],"methods":["GET","POST"],"headers":["Authorization"],"exposed_headers":["X-Total"],"credentials":true,"max_age":3600,"preflight_continue":true,"private_network":true}`
	if string(got) != want {
		t.Errorf(" got %s\nwant %s", got, want)
	}
}

func TestALooseDotIsNoticed(t *testing.T) {
	for entry, want := range map[string]bool{
		`https://.*.example.com`: true, `.+\.example.com`: true, `https://[a-z]+\.example\.com`: false, `https://a[.]example\.com`: false,
	} {
		o, err := parseOrigins([]string{entry})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(o.loose) > 0; got != want {
			t.Errorf("%s: got %v, want %v", entry, got, want)
		}
	}
}

func FuzzOrigin(f *testing.F) {
	f.Add("https://app.example.com")
	f.Add("https://app.example.com:443")
	f.Add("https://app.example.com@evil.example")
	o, err := parseOrigins([]string{"https://app.example.com", `https://[a-z]+\.example\.org`})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, origin string) {
		if !o.allow(origin) {
			return
		}
		lower := strings.TrimSuffix(strings.ToLower(origin), ":443")
		host, ok := strings.CutPrefix(lower, "https://")
		if label, isOrg := strings.CutSuffix(host, ".example.org"); !ok || (host != "app.example.com" && (!isOrg || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz") != "")) {
			t.Errorf("%q is allowed", origin)
		}
	})
}
