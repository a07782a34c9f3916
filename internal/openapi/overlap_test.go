// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"fmt"
	"strings"
	"testing"
)

func TestOverlappingTemplatesAreWarnedAbout(t *testing.T) {
	digits := ", schema: {pattern: '^[0-9]+$'}"
	word := ", schema: {pattern: '^[a-z]+$'}"
	tests := []struct {
		name, first, second string // path: method, scope, and what its parameter p has
		want                string // a part of the warning, "" for none
		line                int
	}{
		{"neither is more exact", "/{p}/latest: get r", "/books/{p}: get w", `"/books/latest" is a path of both "/{p}/latest" and "/books/{p}" in line 10`, 6},
		{"whatever their order", "/books/{p}: get w", "/{p}/latest: get r", `"/books/latest" is a path of both "/{p}/latest" and "/books/{p}" in line 6`, 10},
		{"each is more exact somewhere", "/a/{p}/c: get r", "/a/b/{p}: get w", `"/a/b/c" is a path of both "/a/{p}/c" and "/a/b/{p}"`, 6},
		{"the same requirement", "/{p}/latest: get r", "/books/{p}: get r", "", 0},
		{"another method", "/{p}/latest: get r", "/books/{p}: put w", "", 0},
		{"literal before templated", "/users/me: get r", "/users/{p}: get w", "", 0},
		{"further to the right", "/a/{p}/me: get r", "/a/{p}/{q}: get w", "", 0},
		{"a part of an element", "/files/{p}.json: get r", "/files/{p}: get w", `"/files/x.json" is a path of both "/files/{p}" and "/files/{p}.json"`, 10},
		{"parts that differ", "/v1/{p}:cancel: post r", "/v1/{p}:restore: post w", "", 0},
		{"a pattern", "/users/{p}: get r" + digits, "/users/{q}: get w", `"/users/1" is a path of both`, 10},
		{"patterns that exclude each other", "/users/{p}: get r" + digits, "/users/{q}: get w" + word, "", 0},
		{"patterns and a literal", "/{p}/list: get r" + digits, "/users/{q}: get w", "", 0},
		{"slashes", "/v1/{+p}: get r", "/v1/a/{p}: get w", `"/v1/a/x" is a path of both "/v1/{+p}" and "/v1/a/{p}"`, 6},
		{"slashes twice", "/v1/{+p}: get r", "/{+p}/v2: get w", `"/v1/v2" is a path of both`, 10},
		{"different lengths", "/{p}: get r", "/{p}/{q}: get w", "", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			document := head + "paths:\n"
			for _, text := range []string{test.first, test.second} {
				i := strings.LastIndex(text[:strings.Index(text+",", ",")], ": ")
				what, schema, _ := strings.Cut(text[i+2:], ", ")
				method, scope, _ := strings.Cut(what, " ")
				if schema != "" {
					schema = ", " + schema
				}
				document += fmt.Sprintf("  %q:\n    parameters: [{name: p, in: path%s}, {name: q, in: path%s}]\n    %s:\n      security: [{o: [%s]}]\n", text[:i], schema, schema, method, scope)
			}
			api, err := load(t, document, Options{})
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case test.want == "" && len(api.Warnings) > 0:
				t.Errorf("got %v, want no warning", api.Warnings)
			case test.want != "" && (len(api.Warnings) != 1 || !strings.Contains(api.Warnings[0].Reason, test.want) || api.Warnings[0].Line != test.line):
				t.Errorf("got %v\n%s", api.Warnings, document)
			}
		})
	}
}

// However templates overlap, comparing them is bounded.
func TestSec_ComparingTemplatesIsBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString(head + "paths:\n")
	for i := range 1500 {
		fmt.Fprintf(&b, "  /{p}/x%d: {get: {security: [{o: [r]}]}}\n  /y%d/{p}: {get: {security: [{o: [w]}]}}\n", i, i)
	}
	api, err := load(t, b.String(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(api.Warnings) != maxOverlaps {
		t.Errorf("got %d warnings, want %d", len(api.Warnings), maxOverlaps)
	}
}
