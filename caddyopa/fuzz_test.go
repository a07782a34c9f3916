// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-gluu/gateway/internal/opaengine"
)

// FuzzThePolicySeesWhatTheUpstreamReceives takes any request, and compares what a
// policy is shown with what another program makes of the request that goes upstream:
// method, host, path, arguments, headers and body are the same, in the documents of
// all inputs and for all forms of a body, or the request is refused.
func FuzzThePolicySeesWhatTheUpstreamReceives(f *testing.F) {
	for i, seed := range []struct{ target, name, value, kind, body string }{
		{"/a//b%20c/?x=1&x=2&flag&plus=a+b", "X-A", "1", "application/json", `{"n": 1.50, "l": [null]}`},
		{"/a%2525b?%61=%62", "x-a", "é", "application/json", `[{"a": {"b": "\u00e9"}}]`},
		{"/%E2%82%AC/?;", "Host", "x", "application/json", `{"a":1,"a":2}`},
		{"/..;/a?a=%zz", "Cookie", "a", "text/plain", "x"},
		{"//x/../y?=&&=a", "Content-Type", "application/json", "", "{}"},
		{"/?a=b&a&a=c", "X-A", "\xff", "application/json", "\xff"},
		{"/?a=%26&b=1%2B1", "X-A", "1", "application/x-www-form-urlencoded", "a=1&a=2&b&c=%3D+"},
		{"/?", "X-A", "1", "application/json", "{}"},
		{"/%2520/%C3%A9?q=%C3%A9", "X-A", "1", "application/octet-stream", "\x00\xff"},
	} {
		// What a seed covers is gathered slowly, so each has four of the 18 shapes, and
		// together they have all.
		for j := range 4 {
			f.Add(seed.target, seed.name, seed.value, seed.kind, seed.body, uint8((4*i+j)*5%18)) //nolint:gosec // below 18
		}
	}
	f.Fuzz(func(t *testing.T, target, name, value, kind, body string, shape uint8) {
		length := fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
		if shape/9%2 == 1 && body != "" {
			length = fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		}
		raw := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a.example\r\n%s: %s\r\nContent-Type: %s\r\n%s", target, name, value, kind, length)
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		for name := range r.Header {
			if !httpguts.ValidHeaderFieldName(name) {
				return // the server answers 400
			}
		}
		p := &PEP{Config: Config{
			Input: []string{inputGluu, inputKong, inputEnvoy}[shape%3], Body: []string{bodyJSON, bodyForm, bodyRaw}[shape/3%3],
			Headers: []string{headersAll}, BodyLimit: 1 << 20,
		}}
		q := asked(p, false)
		q.r = r
		path, refusal := p.Canonicalize(r)
		if refusal != nil {
			return
		}
		q.path = path
		input, err := q.build(opaengine.Everything())
		if err != nil {
			if asUnshown(err) == nil {
				t.Fatal(err)
			}
			return
		}
		shown, err := ast.JSON(input)
		if err != nil {
			t.Fatal(err)
		}
		comparison{t, shown.(map[string]any), upstreamOf(t, r)}.compare(p.Config)
	})
}

// sent is what an upstream makes of a request.
type sent struct {
	*http.Request
	body []byte
}

// upstreamOf sends a request to a reader of HTTP of its own.
func upstreamOf(t *testing.T, r *http.Request) sent {
	t.Helper()
	var wire bytes.Buffer
	fmt.Fprintf(&wire, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.URL.RequestURI(), r.Host)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Header.WriteSubset(&wire, map[string]bool{"Content-Length": true})
	fmt.Fprintf(&wire, "Content-Length: %d\r\n\r\n%s", len(body), body)
	received, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatalf("the upstream cannot read it: %v", err)
	}
	if body, err = io.ReadAll(received.Body); err != nil {
		t.Fatal(err)
	}
	return sent{received, body}
}

// comparison is what a policy is shown beside what the upstream receives.
type comparison struct {
	*testing.T
	shown map[string]any
	up    sent
}

func (c comparison) compare(config Config) {
	switch config.Input {
	case inputGluu:
		c.same("host", c.shown["host"], c.up.Host)
		c.same("method", c.shown["method"], c.up.Method)
		c.same("path", c.shown["path"], c.path())
		c.fields("argument", c.shown["uri_args"], c.query(c.up.URL.RawQuery))
		c.headers(c.shown["headers"])
		c.body(config.Body, c.shown["body"], c.shown["body_state"])
	case inputKong:
		shown := c.shown["request"].(map[string]any)["http"].(map[string]any)
		c.same("host", shown["host"], hostname(c.up.Host))
		c.same("method", shown["method"], c.up.Method)
		c.same("path", strings.Split(shown["path"].(string), "/")[1:], texts2(c.path()))
		c.fields("argument", shown["querystring"], c.query(c.up.URL.RawQuery))
		c.headers(shown["headers"])
		c.body(config.Body, shown["parsed_body"], shown["body_state"])
		c.raw(shown["body"], shown["body_size"], shown["body_state"])
	case inputEnvoy:
		shown := c.shown["attributes"].(map[string]any)["request"].(map[string]any)["http"].(map[string]any)
		c.same("host", shown["host"], c.up.Host)
		c.same("method", shown["method"], c.up.Method)
		c.same("path", shown["path"], c.up.RequestURI)
		c.same("parsed_path", c.shown["parsed_path"], c.path())
		c.fields("argument", c.shown["parsed_query"], c.query(c.up.URL.RawQuery))
		c.headers(shown["headers"])
		c.body(config.Body, c.shown["parsed_body"], c.shown["body_state"])
		c.raw(shown["body"], shown["size"], c.shown["body_state"])
	}
}

func (c comparison) same(what string, shown, received any) {
	c.Helper()
	if !reflect.DeepEqual(shown, received) {
		c.Errorf("%s: the policy sees %q, the upstream %q", what, shown, received)
	}
}

// path is how the upstream splits it: first at slashes, then decoded.
func (c comparison) path() []any {
	var elements []any
	for element := range strings.SplitSeq(strings.TrimPrefix(c.up.URL.EscapedPath(), "/"), "/") {
		decoded, err := url.PathUnescape(element)
		if err != nil {
			c.Fatal(err)
		}
		elements = append(elements, decoded)
	}
	return elements
}

func texts2(list []any) []string {
	texts := make([]string, len(list))
	for i := range list {
		texts[i] = list[i].(string)
	}
	return texts
}

func (c comparison) query(text string) url.Values {
	query, err := url.ParseQuery(text)
	if err != nil {
		c.Fatalf("the upstream cannot read %q: %v", text, err)
	}
	return query
}

// fields compares arguments, all of them and no others.
func (c comparison) fields(what string, shown any, received url.Values) {
	c.Helper()
	members := shown.(map[string]any)
	if len(members) != len(received) {
		c.Errorf("the policy sees the %ss %q, the upstream %q", what, members, received)
	}
	for name, values := range received {
		c.same(what+" "+name, asList(members[name]), values)
	}
}

// headers compares header fields. Those of the framing belong to the connection.
func (c comparison) headers(shown any) {
	c.Helper()
	members := shown.(map[string]any)
	for name, values := range c.up.Header {
		if name != "Content-Length" {
			c.same("header "+name, asList(members[strings.ToLower(name)]), values)
		}
	}
	for name := range members {
		if canonical := http.CanonicalHeaderKey(name); name != "host" && name != "content-length" && c.up.Header[canonical] == nil {
			c.Errorf("the policy sees the header %s, the upstream does not", name)
		}
	}
}

func (c comparison) body(form string, shown, state any) {
	c.Helper()
	switch {
	case state == stateNone && len(c.up.body) > 0:
		c.Errorf("the policy sees no body, the upstream %q", c.up.body)
	case state != stateComplete:
	case form == bodyForm:
		c.fields("member of the form", shown, c.query(string(c.up.body)))
	case form == bodyRaw:
		c.same("body", shown, base64.StdEncoding.EncodeToString(c.up.body))
	default:
		decoder := json.NewDecoder(bytes.NewReader(c.up.body))
		decoder.UseNumber()
		var body any
		if err := decoder.Decode(&body); err != nil {
			c.Errorf("the upstream cannot read the body: %v", err)
		}
		c.same("body", shown, body)
	}
}

// raw compares the body as a text, and its size.
func (c comparison) raw(shown, size, state any) {
	c.Helper()
	if state == stateComplete {
		c.same("body", shown, string(c.up.body))
		c.same("size", fmt.Sprint(size), fmt.Sprint(len(c.up.body)))
	}
}

// asList is an argument or a header as others have it: true is an empty text.
func asList(value any) []string {
	switch value := value.(type) {
	case string:
		return []string{value}
	case bool:
		return []string{""}
	case []any:
		var list []string
		for _, element := range value {
			list = append(list, asList(element)...)
		}
		return list
	}
	return nil
}
