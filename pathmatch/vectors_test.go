// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"
)

// TestVectors runs the vectors that all implementations of the tree share.
func TestVectors(t *testing.T) {
	type vector struct {
		ID    string
		Rules []struct{ Method, Path string }

		Requests []struct {
			Method, Path string
			Want         *string
			WantMethod   string `json:"want_method"`
			Captures     []*string
		}
	}
	file, err := os.Open("testdata/pathmatch.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var v vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		t.Run(v.ID, func(t *testing.T) {
			var tree Tree[string] // of methods
			for _, r := range v.Rules {
				if err := tree.Add(mustParse(t, r.Path), r.Method, r.Method); err != nil {
					t.Fatal(err)
				}
			}
			for _, r := range v.Requests {
				method, p, ok := tree.Match(r.Method, r.Path)
				if r.Want == nil {
					if ok {
						t.Errorf("%s %s: got %v, want no rule", r.Method, r.Path, p)
					}
					continue
				}
				if !ok || p.String() != *r.Want || method != r.WantMethod {
					t.Errorf("%s %s: got %v %s %v, want %s %s", r.Method, r.Path, p, method, ok, *r.Want, r.WantMethod)
					continue
				}
				got := p.Captures(r.Path, nil)
				if len(got) != len(r.Captures) || len(got) != p.NumCaptures() {
					t.Errorf("%s: got captures %v, want %d", r.Path, got, len(r.Captures))
					continue
				}
				for i, want := range r.Captures {
					if got[i].Present != (want != nil) || want != nil && got[i].Value != *want {
						t.Errorf("%s: capture %d: got %v, want %v", r.Path, i+1, got[i], want)
					}
				}
			}
		})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

func mustParse(t testing.TB, pattern string) *Pattern {
	t.Helper()
	p, err := Parse(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
