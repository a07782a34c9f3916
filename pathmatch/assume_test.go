// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"strings"
	"testing"
	"time"
)

func TestMatchAssuming(t *testing.T) {
	all := rules("GET /x/{(?=a).*}/end", "GET /x/{b+}/end", "? /y/{(?!a).*}", "GET /x/?/end", "POST /??/z")
	tree := buildTree(t, all)
	for request, want := range map[string]struct{ matching, notMatching string }{
		"GET /x/a/end": {"GET /x/{(?=a).*}/end", "GET /x/?/end"},
		"GET /x/b/end": {"GET /x/{(?=a).*}/end", "GET /x/{b+}/end"},
		"PUT /y/a":     {"? /y/{(?!a).*}", "none"},
		"PUT /y/a/b":   {"none", "none"},
		"POST /y/a/z":  {"POST /??/z", "POST /??/z"},
		"POST /x/z":    {"POST /??/z", "POST /??/z"},
	} {
		method, path, _ := strings.Cut(request, " ")
		for _, matches := range []bool{true, false} {
			expected := want.notMatching
			if matches {
				expected = want.matching
			}
			got := "none"
			if i, _, ok := tree.MatchAssuming(matches, method, path); ok {
				got = all[i].method + " " + all[i].path
			}
			if got != expected {
				t.Errorf("%s, matching %t: got %s, want %s", request, matches, got, expected)
			}
		}
	}
}

func TestMatchAssumingRunsNothingThatBacktracks(t *testing.T) {
	tree := buildTree(t, rules("GET /{"+catastrophe+"}"))
	measure := func() time.Duration {
		start := time.Now()
		for range 100 {
			tree.MatchAssuming(true, "GET", "/"+strings.Repeat("a", 8<<10))
			tree.MatchAssuming(false, "GET", "/"+strings.Repeat("a", 8<<10))
		}
		return time.Since(start)
	}
	took := measure()
	for range 4 { // a busy machine may take its time now and then, and never less
		took = min(took, measure())
	}
	if took > perlTimeout {
		t.Errorf("took %v", took)
	}
}
