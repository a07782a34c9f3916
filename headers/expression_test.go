// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestWrongHeadersAreRefusedAtLoad(t *testing.T) {
	for _, c := range []struct {
		cfg  HeaderConfig
		want []string // in the message
	}{
		// A constant without its quotes, the mistake that everybody makes.
		{HeaderConfig{HeaderName: "Kong-Version", Value: "version 2.0"}, []string{`header "Kong-Version"`, `"version 2.0", column 9`, "needs quotes", "`\"version 2.0\"`"}},
		{HeaderConfig{HeaderName: "X-A", Value: "acme"}, []string{"column 1", "undeclared reference to 'acme'", "`\"acme\"`", "introspect_data, consumer"}},
		{HeaderConfig{HeaderName: "X-A", Value: "userinfo.email"}, []string{"'userinfo'", "the variables are introspect_data, consumer"}},
		{HeaderConfig{HeaderName: "X-A", Value: "consumer."}, []string{"column 10", "Syntax error"}},
		{HeaderConfig{HeaderName: "X-A", Value: "\n  consumer.("}, []string{"line 2"}},
		{HeaderConfig{HeaderName: "X-A", Value: `"open`}, []string{"column 1"}},
		{HeaderConfig{HeaderName: "X-A", Value: "os.Getenv('HOME')"}, []string{"'os'"}},
		{HeaderConfig{HeaderName: "X-A", Value: "exec('id')"}, []string{"'exec'", "the functions are"}},
		{HeaderConfig{HeaderName: "X-A", Value: "http.get('https://example.com')"}, []string{"undeclared"}},
		{HeaderConfig{HeaderName: "X-A", Value: "'a'.matches('(')"}, []string{"column"}},
		{HeaderConfig{HeaderName: "X-A", Value: "  "}, []string{"an expression is missing"}},
		{HeaderConfig{HeaderName: "X-A", Value: strings.Repeat("a", 5000)}, []string{"too long"}},
		{HeaderConfig{HeaderName: "X-A", Value: strings.Repeat("(", 1000)}, []string{`"(((`}},
		{HeaderConfig{HeaderName: "X-A", Value: "introspect_data.l.map(a, introspect_data.l.map(b, introspect_data.l.map(c, a + b + c)))"}, []string{"could take too long", "use fewer loops"}},
		{HeaderConfig{HeaderName: "X-A", Value: "introspect_data.a.replace('', introspect_data.b)"}, []string{"column", "replace takes a constant"}},
		{HeaderConfig{HeaderName: "X-A", Value: "introspect_data.a.join(introspect_data.b)"}, []string{"join takes a constant"}},
		{HeaderConfig{HeaderName: "X-A", Value: "introspect_data.a.matches(introspect_data.b)"}, []string{"matches takes a constant"}},
		{HeaderConfig{HeaderName: "X-A", Value: "matches('a', introspect_data.b)"}, []string{"matches takes a constant"}},
		{HeaderConfig{HeaderName: "X-A", Value: "introspect_data.f.format([1.0])"}, []string{"format takes a constant"}},
		{HeaderConfig{HeaderName: "X-A", Value: "introspect_data.a.indexOf(introspect_data.b)"}, []string{"indexOf takes a constant"}},

		// Names.
		{HeaderConfig{Value: "consumer.id"}, []string{"needs a name"}},
		{HeaderConfig{HeaderName: "X A", Value: "consumer.id"}, []string{`"X A" is not a valid header name`}},
		{HeaderConfig{HeaderName: "X-A:", Value: "consumer.id"}, []string{"is not a valid header name"}},
		{HeaderConfig{HeaderName: "X-Ä", Value: "consumer.id"}, []string{"is not a valid header name"}},
		{HeaderConfig{HeaderName: "X-\r\nA", Value: "consumer.id"}, []string{"is not a valid header name"}},
		{HeaderConfig{HeaderName: strings.Repeat("X", 200), Value: "consumer.id"}, []string{"at most 128"}},
		{HeaderConfig{HeaderName: "X-{*}", Value: "introspect_data"}, []string{"header_each"}},
		{HeaderConfig{HeaderName: "X-A", Value: "introspect_data", Iterate: true}, []string{"has no {*}", `"X-A-{*}"`}},
		{HeaderConfig{HeaderName: "X-{*}-{*}", Value: "introspect_data", Iterate: true}, []string{"more than one {*}"}},
		{HeaderConfig{HeaderName: "{*}", Value: "introspect_data", Iterate: true}, []string{"begins with the key", `"X-Token-{*}"`}},
		{HeaderConfig{HeaderName: "-{*}", Value: "introspect_data", Iterate: true}, []string{"begins with the key"}},

		// Formats.
		{HeaderConfig{HeaderName: "X-A", Value: "consumer.id", Format: "hex"}, []string{`unknown format "hex"`, "string, base64, urlencoded, list or jwt"}},
		{HeaderConfig{HeaderName: "X-{*}", Value: "introspect_data", Format: "list", Iterate: true}, []string{"header_each"}},
		{HeaderConfig{HeaderName: "X-{*}", Value: "introspect_data", Format: "jwt", Iterate: true}, []string{"header_each"}},
		{HeaderConfig{HeaderName: "X-A", Value: "consumer.id", Sep: ";"}, []string{"needs the format list"}},
		{HeaderConfig{HeaderName: "X-A", Value: "consumer.id", Format: "list", Sep: "\n"}, []string{"control character"}},
		{HeaderConfig{HeaderName: "X-A", Value: "consumer.id", Format: "list", Sep: strings.Repeat("-", 17)}, []string{"at most 16"}},
	} {
		_, err := CompileHeader(c.cfg, "introspect_data", "consumer")
		if err == nil {
			t.Errorf("%+v: loads", c.cfg)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%.60q: got %q, want %q in it", c.cfg.Value, err, want)
			}
		}
	}
}

func TestHeadersThatAreNotTheGatewaysToSet(t *testing.T) {
	for _, name := range []string{
		"Authorization", "authorization", "AUTHORIZATION", "Host", "host", "Content-Length", "Content_Length", "content.length",
		"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailer", "Transfer-Encoding", "Transfer_Encoding", "Upgrade",
		"Proxy-Connection", "HTTP2-Settings", "Cookie", "DPoP", "Forwarded", "X-Forwarded-For", "X_Forwarded_For", "X-Forwarded-Prefix", "x.forwarded.user", "Via", "Sec-WebSocket-Key",
	} {
		_, err := CompileHeader(HeaderConfig{HeaderName: name, Value: `"x"`})
		if err == nil || !strings.Contains(err.Error(), "not the gateway's to set") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestNoHeaderIsSetTwice(t *testing.T) {
	for _, pair := range [][2]string{{"X-A", "x-a"}, {"X-A", "X_A"}, {"X-A-B", "X-A.B"}} {
		_, err := CompileSet([]HeaderConfig{{HeaderName: pair[0], Value: `"1"`}, {HeaderName: pair[1], Value: `"2"`}})
		if err == nil || !strings.Contains(err.Error(), "set twice") {
			t.Errorf("%v: got %v", pair, err)
		}
	}
}

func TestAnExpressionErrorSaysWhere(t *testing.T) {
	_, err := CompileHeader(HeaderConfig{HeaderName: "X-A", Value: "consumer.id +\n  unknown"}, "consumer")
	var e *ExpressionError
	if !errors.As(err, &e) || e.Line != 2 || e.Column != 3 {
		t.Errorf("got %#v, want line 2, column 3", e)
	}
}

// However the claims are chosen, an expression that loads comes to an end.
func TestSec_S76_costIsLimitedAtRunTime(t *testing.T) {
	list := `["` + strings.Repeat("a", 100) + `"` + strings.Repeat(`,"aaaaaaaaaaaaaaaaaaaa"`, 20_000) + `]`
	vars := variables(t, `{"introspect_data":{"list":`+list+`,"text":"`+strings.Repeat("a", 1<<18)+`"}}`)
	for _, expression := range []string{
		"introspect_data.list.map(a, introspect_data.list.exists(b, b == 'z'))",
		"introspect_data.list.all(a, introspect_data.text.contains(a + 'b'))",
		"introspect_data.list.filter(a, introspect_data.text.matches('(a+)+$'))",
		"introspect_data.list.map(a, introspect_data.text)",
	} {
		h, err := CompileHeader(HeaderConfig{HeaderName: "X-A", Value: expression}, "introspect_data")
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		start := time.Now()
		lines, problems := h.Render(vars, nil)
		if len(lines) > 0 || len(problems) != 1 {
			t.Errorf("%s: got %d headers, %v", expression, len(lines), problems)
		}
		t.Logf("%s: %s", expression, time.Since(start).Round(time.Millisecond))
	}
}

func FuzzExpressionConfig(f *testing.F) {
	for _, seed := range []struct {
		name, value, format, sep string
		iterate                  bool
	}{
		{"X-A", "introspect_data.client_id", "", "", false},
		{"X-{*}", "introspect_data", "string", "", true},
		{"kong_version", `"version 2.0"`, "base64", "", false},
		{"X-L", "introspect_data.scope.split(' ').map(s, s + '!')", "list", ";", false},
		{"Host", "consumer.?id.orValue(1e3)", "jwt", "", false},
	} {
		f.Add(seed.name, seed.value, seed.format, seed.sep, seed.iterate)
	}
	env, err := newEnv([]string{"introspect_data", "consumer"})
	if err != nil {
		f.Fatal(err)
	}
	vars := map[string]any{"introspect_data": variables(f, `{"client_id":"a","scope":"a b","n":1e30,"o":{"x":[1]}}`)}
	f.Fuzz(func(t *testing.T, name, value, format, sep string, iterate bool) {
		h, err := compileHeader(HeaderConfig{name, value, Format(format), sep, iterate}, env)
		if err != nil {
			if h != nil {
				t.Error("a header in spite of", err)
			}
			return
		}
		h.Render(vars, signNone)
	})
}

// What cel-go says about a value may quote it, and a log keeps it.
func TestFailuresQuoteNoValue(t *testing.T) {
	for expression, want := range map[string]string{
		"timestamp(introspect_data.s)":                             "evaluation failed",
		"timestamp(introspect_data.t).getHours(introspect_data.s)": "evaluation failed",
		"duration(introspect_data.s)":                              "",
		"int(introspect_data.s)":                                   "",
		"introspect_data.s + 1":                                    "no such overload",
		"introspect_data.n / 0":                                    "division by zero",
		"introspect_data.o[introspect_data.s].x.y":                 "",
		"introspect_data.s.charAt(99)":                             "",
	} {
		lines, problems := render(t, HeaderConfig{Value: expression}, `{"s": "S3CRET", "t": "2026-01-01T00:00:00Z", "n": 1, "o": {}}`)
		for _, problem := range problems {
			if strings.Contains(problem.Error(), "S3CRET") || !strings.Contains(problem.Error(), want) {
				t.Errorf("%s: got %q, want %q and not the value", expression, problem, want)
			}
		}
		if len(lines) > 0 || want != "" && len(problems) != 1 {
			t.Errorf("%s: got %q and %v", expression, lines, problems)
		}
	}
}
