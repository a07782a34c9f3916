// SPDX-License-Identifier: Apache-2.0

package pathmatch_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/caddy-gluu/gateway/pathmatch"
)

func Example() {
	var rules pathmatch.Tree[string]
	for _, rule := range []struct{ method, pattern, scope string }{
		{"GET", "/users/?", "users:read"},
		{"GET", "/users/me", "profile"},
		{"PUT", `/users/{\d+}`, "users:write"},
		{pathmatch.Any, "/??", "admin"},
	} {
		p, err := pathmatch.Parse(rule.pattern)
		if err != nil {
			fmt.Println(err)
			return
		}
		if err := rules.Add(p, rule.method, rule.scope); err != nil {
			fmt.Println(err)
			return
		}
	}

	for _, r := range []*http.Request{
		httptest.NewRequest("GET", "/users/me", nil),
		httptest.NewRequest("HEAD", "/users//%3417", nil),
		httptest.NewRequest("PUT", "/users/417", nil),
		httptest.NewRequest("PUT", "/users/me", nil),
		httptest.NewRequest("GET", "/users/..%2fadmin", nil),
	} {
		path, err := pathmatch.Canonicalize(r.URL, pathmatch.Options{})
		if err != nil {
			fmt.Println(err)
			continue
		}
		path.Apply(r.URL) // the upstream receives what is decided on
		scope, pattern, ok := rules.Match(r.Method, path.Decoded)
		fmt.Println(r.Method, r.URL.RequestURI(), pattern, scope, ok)
	}
	// Output:
	// GET /users/me /users/me profile true
	// HEAD /users/417 /users/? users:read true
	// PUT /users/417 /users/{\d+} users:write true
	// PUT /users/me /?? admin true
	// ambiguous path: encoded slash at offset 9
}
