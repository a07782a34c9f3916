// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/caddy-gluu/gateway/internal/opaengine"
)

// FuzzThePolicySeesWhatTheUpstreamReceives takes any request, and compares what a
// policy is shown with what another program makes of the request that goes upstream:
// path, arguments, headers and body are the same, or the request is refused.
func FuzzThePolicySeesWhatTheUpstreamReceives(f *testing.F) {
	for _, seed := range []struct{ target, name, value, kind, body string }{
		{"/a//b%20c/?x=1&x=2&flag&plus=a+b", "X-A", "1", "application/json", `{"n": 1.50, "l": [null]}`},
		{"/a%2525b?%61=%62", "x-a", "é", "application/json", `[{"a": {"b": "\u00e9"}}]`},
		{"/%E2%82%AC/?;", "Host", "x", "application/json", `{"a":1,"a":2}`},
		{"/..;/a?a=%zz", "Cookie", "a", "text/plain", "x"},
		{"//x/../y?=&&=a", "Content-Type", "application/json", "", "{}"},
		{"/?a=b&a&a=c", "X-A", "\xff", "application/json", "\xff"},
	} {
		f.Add(seed.target, seed.name, seed.value, seed.kind, seed.body)
	}
	f.Fuzz(func(t *testing.T, target, name, value, kind, body string) {
		raw := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a.example\r\n%s: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", target, name, value, kind, len(body), body)
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		p := &PEP{Config: Config{Body: bodyJSON, Headers: []string{headersAll}, BodyLimit: 1 << 20}}
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
		compare(t, shown.(map[string]any), upstreamOf(t, r))
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

func compare(t *testing.T, shown map[string]any, up sent) {
	t.Helper()
	var path []any
	for element := range strings.SplitSeq(strings.TrimPrefix(up.URL.EscapedPath(), "/"), "/") {
		decoded, err := url.PathUnescape(element)
		if err != nil {
			t.Fatal(err)
		}
		path = append(path, decoded)
	}
	if !reflect.DeepEqual(shown["path"], path) {
		t.Errorf("the policy sees the path %q, the upstream %q", shown["path"], path)
	}
	query, err := url.ParseQuery(up.URL.RawQuery)
	if err != nil {
		t.Fatalf("the upstream cannot read the query %q: %v", up.URL.RawQuery, err)
	}
	arguments := shown["uri_args"].(map[string]any)
	if len(arguments) != len(query) {
		t.Errorf("the policy sees the arguments %q, the upstream %q", arguments, query)
	}
	for name, values := range query {
		if got := asList(arguments[name]); !reflect.DeepEqual(got, values) {
			t.Errorf("argument %q: the policy sees %q, the upstream %q", name, got, values)
		}
	}
	headers := shown["headers"].(map[string]any)
	for name, values := range up.Header {
		if name == "Content-Length" {
			continue // of the message
		}
		if got := asList(headers[strings.ToLower(name)]); !reflect.DeepEqual(got, values) {
			t.Errorf("header %s: the policy sees %q, the upstream %q", name, got, values)
		}
	}
	if shown["body_state"] != stateComplete {
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(up.body))
	decoder.UseNumber()
	var body any
	if err := decoder.Decode(&body); err != nil || !reflect.DeepEqual(shown["body"], body) {
		t.Errorf("the policy sees the body %v, the upstream %v, %v", shown["body"], body, err)
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
