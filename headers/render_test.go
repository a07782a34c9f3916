// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// render compiles and renders one header over introspect_data.
func render(t testing.TB, cfg HeaderConfig, claims string) ([]Line, []*Problem) {
	t.Helper()
	if cfg.HeaderName == "" {
		cfg.HeaderName = "X-Test"
	}
	h, err := CompileHeader(cfg, "introspect_data", "consumer")
	if err != nil {
		t.Fatal(err)
	}
	return h.Render(variables(t, `{"introspect_data":`+claims+`}`), signNone)
}

func TestValues(t *testing.T) {
	claims := `{
		"text": "plain", "empty": "", "yes": true, "no": false, "null": null,
		"int": 42, "neg": -7, "zero": -0, "big": 12345678901234567890123, "u64": 18446744073709551615,
		"float": 0.1, "half": 1.50, "whole": 2.0, "exp": 1e21, "small": 1.5e-7, "hundred": 1E2, "precise": 0.12345678901234567890,
		"list": ["a", 1, true, null, {"x": "<&>"}], "object": {"b": 2, "a": {"deep": [1e21]}}, "none": [], "nothing": {},
		"name": "Łukasz Ωmega 東京 🙂", "template": "{env.HOME} {http.request.host} {{.Env}}", "html": "<a href='x'>&amp;</a>"
	}`
	for _, c := range []struct{ expression, want string }{
		{"introspect_data.text", "plain"},
		{"introspect_data.empty", ""},
		{"introspect_data.yes", "true"},
		{"introspect_data.no", "false"},
		{"introspect_data.int", "42"},
		{"introspect_data.neg", "-7"},
		{"introspect_data.zero", "0"},
		{"introspect_data.big", "12345678901234567890123"},
		{"introspect_data.u64", "18446744073709551615"},
		{"introspect_data.float", "0.1"},
		{"introspect_data.half", "1.5"},
		{"introspect_data.whole", "2"},
		{"introspect_data.exp", "1000000000000000000000"},
		{"introspect_data.small", "0.00000015"},
		{"introspect_data.hundred", "100"},
		{"introspect_data.precise", "0.1234567890123456789"},
		{"introspect_data.list", `["a",1,true,null,{"x":"<&>"}]`},
		{"introspect_data.object", `{"a":{"deep":[1000000000000000000000]},"b":2}`},
		{"introspect_data.none", "[]"},
		{"introspect_data.nothing", "{}"},
		{"introspect_data.name", "Łukasz Ωmega 東京 🙂"},
		{"introspect_data.html", "<a href='x'>&amp;</a>"},

		// A claim is data: nothing in it is ever expanded.
		{"introspect_data.template", "{env.HOME} {http.request.host} {{.Env}}"},

		// Expressions calculate with what claims say.
		{"introspect_data.int + 1", "43"},
		{"introspect_data.big > 5 && introspect_data.u64 > 5", "true"},
		{"introspect_data.int == 42.0", "true"},
		{"'no. ' + string(introspect_data.big)", "no. 12345678901234567890123"},
		{"introspect_data.text.upperAscii()", "PLAIN"},
		{"introspect_data.list.size()", "5"},
		{"timestamp(1900000000)", "2030-03-17T17:46:40Z"},
		{"timestamp('2030-03-17T17:46:40.5Z')", "2030-03-17T17:46:40.5Z"},
		{"duration('90s')", "90s"},
		{"base64.encode(b'abc')", "YWJj"},
		{"b'abc'", "YWJj"},
		{"introspect_data.?missing.orValue('default')", "default"},
		{"introspect_data.?text", "plain"},
		{"has(consumer.id) ? consumer.id : 'unknown'", "unknown"},
		{"{1: 'one', true: 'yes'}", `{"1":"one","true":"yes"}`},
	} {
		lines, problems := render(t, HeaderConfig{Value: c.expression, Format: FormatString}, claims)
		if len(lines) != 1 || lines[0].Value != c.want || len(problems) > 0 {
			t.Errorf("%s: got %q %v, want %q", c.expression, lines, problems, c.want)
		}
	}
}

func TestAMissingValueSetsNoHeader(t *testing.T) {
	const claims = `{"nil": null, "object": {"nil": null}, "text": "x", "list": ["a"], "empty": [], "nulls": [null]}`
	for _, expression := range []string{
		"introspect_data.missing", "introspect_data.nil", "introspect_data.object.nil", "introspect_data.object.missing.deep",
		"introspect_data.text.deep", "introspect_data.nil.deep", "introspect_data.list[1]", "introspect_data['missing']",
		"consumer", "consumer.id", "introspect_data.?missing", "introspect_data.missing + 'x'", "null",
		"introspect_data.list.filter(x, x == 'z')[0]",
	} {
		for _, format := range []Format{FormatDefault, FormatString, FormatBase64, FormatURLEncoded, FormatList, FormatJWT} {
			if lines, problems := render(t, HeaderConfig{Value: expression, Format: format}, claims); len(lines)+len(problems) > 0 {
				t.Errorf("%s as %s: got %q %v, want nothing", expression, format, lines, problems)
			}
		}
	}
	for _, expression := range []string{"introspect_data.empty", "introspect_data.nulls"} {
		if lines, problems := render(t, HeaderConfig{Value: expression, Format: FormatList}, claims); len(lines)+len(problems) > 0 {
			t.Errorf("%s as list: got %q %v, want nothing", expression, lines, problems)
		}
	}
	lines, problems := render(t, HeaderConfig{HeaderName: "X-{*}", Value: "introspect_data.object", Iterate: true}, claims)
	if len(lines)+len(problems) > 0 {
		t.Errorf("a member that is null: got %q %v, want nothing", lines, problems)
	}
}

func TestSec_S76_valuesThatAreNotSent(t *testing.T) {
	for what, claims := range map[string]string{
		"line feed":             `{"v": "a\nX-Admin: true"}`,
		"carriage return":       `{"v": "a\r\n\r\n"}`,
		"NUL":                   `{"v": "a\u0000b"}`,
		"tab":                   `{"v": "a\tb"}`,
		"escape":                `{"v": "\u001b[2J"}`,
		"DEL":                   `{"v": "a\u007fb"}`,
		"next line (C1)":        `{"v": "a\u0085b"}`,
		"CSI (C1)":              `{"v": "a\u009bb"}`,
		"a space before":        `{"v": " admin"}`,
		"a space after":         `{"v": "admin "}`,
		"nothing but spaces":    `{"v": "  "}`,
		"line separator":        `{"v": "a\u2028b"}`,
		"paragraph separator":   `{"v": "a\u2029b"}`,
		"DEL in an object":      `{"v": {"a": "\u007f"}}`,
		"64 KiB":                `{"v": "` + strings.Repeat("x", 64<<10) + `"}`,
		"8 KiB and one byte":    `{"v": "` + strings.Repeat("x", 8<<10+1) + `"}`,
		"a gigabyte of digits":  `{"v": 1e999999999}`,
		"a thousand digits":     `{"v": ` + strings.Repeat("1", 1001) + `}`,
		"a small number indeed": `{"v": 1e-999999999}`,
		"nested too deeply":     `{"v": ` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
	} {
		for _, cfg := range []HeaderConfig{
			{Value: "introspect_data.v", Format: FormatString},
			{HeaderName: "X-Each-{*}", Value: "introspect_data", Format: FormatString, Iterate: true},
		} {
			lines, problems := render(t, cfg, claims)
			if len(lines) > 0 || len(problems) != 1 {
				t.Errorf("%s: got %.80q and %v, want no header and one problem", what, lines, problems)
			}
			if len(problems) == 1 && strings.ContainsAny(problems[0].Error(), "\n\x1b\x00") {
				t.Errorf("%s: the problem quotes the value: %q", what, problems[0])
			}
		}
	}
	if lines, problems := render(t, HeaderConfig{Value: "introspect_data.v", Format: FormatList}, `{"v": ["a", "b\nc"]}`); len(lines) > 0 || len(problems) != 1 {
		t.Errorf("in a list: got %q and %v, want no header and one problem", lines, problems)
	}
	// What an encoding makes of them is harmless.
	for format, want := range map[Format]string{FormatBase64: "YQpiIA==", FormatURLEncoded: "a%0Ab%20"} {
		lines, problems := render(t, HeaderConfig{Value: "introspect_data.v", Format: format}, `{"v":"a\nb "}`)
		if len(lines) != 1 || lines[0].Value != want || len(problems) > 0 {
			t.Errorf("%s: got %q %v, want %q", format, lines, problems, want)
		}
	}
	// Exactly 8 KiB is sent.
	if lines, _ := render(t, HeaderConfig{Value: "introspect_data.v"}, `{"v":"`+strings.Repeat("x", 8<<10)+`"}`); len(lines) != 1 {
		t.Error("a value of 8 KiB is not sent")
	}
}

func TestProblemsAreReportedOnce(t *testing.T) {
	set, err := CompileSet([]HeaderConfig{{HeaderName: "X-A", Value: "introspect_data.v"}, {HeaderName: "X-B", Value: "introspect_data.v"}}, "introspect_data")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, claims := range []string{`{"v":"a\nb"}`, `{"v":"c\nd"}`, `{"v":"` + strings.Repeat("x", 9000) + `"}`, `{"v":"a\nb"}`, `{"v":"fine"}`} {
		_, problems := set.Render(variables(t, `{"introspect_data":`+claims+`}`), nil)
		for _, p := range problems {
			got = append(got, p.Header+" "+p.Err.Error())
		}
	}
	want := []string{
		"X-A " + errControl.Error(), "X-B " + errControl.Error(),
		"X-A " + errTooLong.Error(), "X-B " + errTooLong.Error(),
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestAListElementCannotBeTwo(t *testing.T) {
	const claims = `{"groups": ["staff", "x,admin"], "one": ["a,b"], "nulls": [null, "a,b"], "text": "a b", "written": "a,b", "empty": ["", ""]}`
	for _, c := range []struct {
		expression, sep, want string
	}{
		{"introspect_data.groups", "", ""},
		{"introspect_data.groups", ";", "staff;x,admin"},
		{"introspect_data.one", "", ""},
		{"introspect_data.one", ";", "a,b"},
		{"introspect_data.nulls", "", ""},
		{"introspect_data.written", "", "a,b"},
		{"introspect_data.empty", "", ","},
		{"['a-', 'b']", "--", ""}, // a---b comes apart into "a" and "-b"
		{"['a-', 'b']", "-|", "a--|b"},
		{"introspect_data.text", "", "a b"},
		{"introspect_data.text.split(' ')", "", "a,b"},
	} {
		lines, problems := render(t, HeaderConfig{Value: c.expression, Format: FormatList, Sep: c.sep}, claims)
		got := ""
		if len(lines) == 1 {
			got = lines[0].Value
		}
		if got != c.want || (c.want == "") != (len(problems) == 1) {
			t.Errorf("%s by %q: got %q %v, want %q", c.expression, c.sep, got, problems, c.want)
		}
	}
}

func TestKeysThatMakeNoName(t *testing.T) {
	lines, problems := render(t, HeaderConfig{HeaderName: "X-{*}", Value: "introspect_data", Iterate: true}, `{
		"email": "1", "given_name": "2", "a.b": "3",
		"": "0", "with space": "0", "colon:": "0", "é": "0", "line\nfeed": "0", "`+strings.Repeat("k", 200)+`": "0",
		"Consumer-ID": "0", "consumer_username": "0", "Authenticated-Userid": "0", "forwarded-for": "0", "Forwarded_Proto": "0",
		"twin_key": "0", "twin-key": "0", "TWIN.KEY": "0"
	}`)
	want := []Line{{"X-A.b", "3"}, {"X-Email", "1"}, {"X-Given-Name", "2"}}
	if !slices.Equal(lines, want) {
		t.Errorf("got %q\nwant %q", lines, want)
	}
	if len(problems) != 2 || !errors.Is(problems[0], errKey) || !errors.Is(problems[1], errCollision) {
		t.Errorf("got problems %v", problems)
	}
}

func TestNothingWithoutAnObjectToIterate(t *testing.T) {
	for _, claims := range []string{`{"v":"text"}`, `{"v":["a"]}`, `{"v":1}`} {
		lines, problems := render(t, HeaderConfig{HeaderName: "X-{*}", Value: "introspect_data.v", Iterate: true}, claims)
		if len(lines) > 0 || len(problems) != 1 || !errors.Is(problems[0], errNoObject) {
			t.Errorf("%s: got %v %v", claims, lines, problems)
		}
	}
	var many []string
	for i := range maxKeys + 1 {
		many = append(many, fmt.Sprintf(`"k%d":1`, i))
	}
	lines, problems := render(t, HeaderConfig{HeaderName: "X-{*}", Value: "introspect_data", Iterate: true}, "{"+strings.Join(many, ",")+"}")
	if len(lines) > 0 || len(problems) != 1 || !errors.Is(problems[0], errTooMany) {
		t.Errorf("%d keys: got %d lines, %v", len(many), len(lines), problems)
	}
}

// A key of a token may not take the place of what the configuration sets by
// name, in whatever spelling an upstream takes the two for one.
func TestNamedHeadersGoBeforeKeys(t *testing.T) {
	set, err := CompileSet([]HeaderConfig{
		{HeaderName: "X-Claim-{*}", Value: "introspect_data", Iterate: true},
		{HeaderName: "X-Claim-Role", Value: `"guest"`},
	}, "introspect_data")
	if err != nil {
		t.Fatal(err)
	}
	lines, _ := set.Render(variables(t, `{"introspect_data":{"rOlE":"admin","sub":"joe"}}`), nil)
	if want := []Line{{"X-Claim-Role", "guest"}, {"X-Claim-Sub", "joe"}}; !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
	lines, _ = set.Render(variables(t, `{"introspect_data":{"role.":"x","role":"admin"}}`), nil)
	if want := []Line{{"X-Claim-Role", "guest"}, {"X-Claim-Role.", "x"}}; !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
}

func TestOnlyAnObjectIsSigned(t *testing.T) {
	for claims, want := range map[string]bool{`{"v":{"a":1}}`: true, `{"v":"text"}`: false, `{"v":[1]}`: false, `{"v":1}`: false} {
		lines, problems := render(t, HeaderConfig{Value: "introspect_data.v", Format: FormatJWT}, claims)
		if (len(lines) == 1) != want || (len(problems) == 0) != want {
			t.Errorf("%s: got %v %v, want %v", claims, lines, problems, want)
		}
	}
	h, err := CompileHeader(HeaderConfig{HeaderName: "X-A", Value: "introspect_data", Format: FormatJWT}, "introspect_data")
	if err != nil {
		t.Fatal(err)
	}
	lines, problems := h.Render(variables(t, `{"introspect_data":{}}`), func(map[string]any) (string, error) { return "", ErrNotReady })
	if len(lines) > 0 || len(problems) != 1 || !errors.Is(problems[0], ErrNotReady) {
		t.Errorf("without a key: got %v %v, want ErrNotReady", lines, problems)
	}
}

const tokenCharacters = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func FuzzRenderValue(f *testing.F) {
	f.Add("value", "key", uint8(0))
	f.Add("a\nb\u2028", "X-Consumer-ID", uint8(3))
	f.Add("東京\x80", "_", uint8(11))
	formats := []Format{FormatDefault, FormatString, FormatBase64, FormatURLEncoded, FormatList, FormatJWT}
	var sets []*Set
	for _, format := range formats {
		configs := []HeaderConfig{{HeaderName: "X-Value", Value: "introspect_data.v", Format: format}, {HeaderName: "X-All", Value: "introspect_data", Format: format}}
		if format != FormatList && format != FormatJWT {
			configs = append(configs, HeaderConfig{HeaderName: "X-{*}", Value: "introspect_data", Format: format, Iterate: true})
		}
		set, err := CompileSet(configs, "introspect_data")
		if err != nil {
			f.Fatal(err)
		}
		sets = append(sets, set)
	}
	f.Fuzz(func(t *testing.T, value, key string, kind uint8) {
		var v any = value
		switch kind / 6 % 4 {
		case 1:
			v = []any{value, key}
		case 2:
			v = map[string]any{key: value}
		case 3:
			v = json.Number(value) // whatever it says
		}
		set := sets[int(kind)%len(sets)]
		lines, _ := set.Render(map[string]any{"introspect_data": map[string]any{"v": v, key: value}}, signNone)
		seen := make(map[string]bool)
		for _, line := range lines {
			if line.Name == "" || strings.Trim(line.Name, tokenCharacters) != "" || !utf8.ValidString(line.Value) || len(line.Value) > 8<<10 {
				t.Errorf("%q: %q is not a valid header", line.Name, line.Value)
			}
			if strings.ContainsFunc(line.Value, func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 }) {
				t.Errorf("%q has a control character", line.Value)
			}
			folded := Fold(line.Name)
			if seen[folded] || notOurs(folded) || slices.Contains(foldedStandard, folded) {
				t.Errorf("%q is set twice, or is not to be set", line.Name)
			}
			seen[folded] = true
		}
	})
}

func BenchmarkRenderTen(b *testing.B) {
	var configs []HeaderConfig
	for i, expression := range []string{
		"introspect_data.client_id", "introspect_data.sub", "introspect_data.exp", "consumer.username", `"version 2.0"`,
		"introspect_data.address.country", "introspect_data.missing", "introspect_data", "introspect_data.email_verified", "introspect_data.scope",
	} {
		configs = append(configs, HeaderConfig{HeaderName: fmt.Sprintf("X-Custom-%d", i), Value: expression})
	}
	set, err := CompileSet(configs, "introspect_data", "consumer")
	if err != nil {
		b.Fatal(err)
	}
	vars := variables(b, `{"introspect_data":{"client_id":"app","sub":"joe","exp":1900000000,"email_verified":true,"address":{"country":"CH"},"scope":"a b"},"consumer":{"username":"app"}}`)
	b.ReportAllocs()
	for b.Loop() {
		if lines, _ := set.Render(vars, nil); len(lines) != 9 {
			b.Fatal(lines)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := CompileHeader(HeaderConfig{HeaderName: "X-A", Value: "introspect_data.client_id"}, "introspect_data", "consumer"); err != nil {
			b.Fatal(err)
		}
	}
}
