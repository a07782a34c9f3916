// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// A vector is a line of testdata/scopes.jsonl.
type vector struct {
	ID       string
	Rule     json.RawMessage
	Data     []string
	Captures []*string
	Scopes   []string
	Want     string
	Why      string
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	f, err := os.Open("testdata/scopes.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var vectors []vector
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var v vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		vectors = append(vectors, v)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return vectors
}

// path returns a pattern with as many captures as the vector has, and a path
// that yields them. An absent capture is that of a group that takes no part.
func (v *vector) path() (pattern, path string) {
	if len(v.Captures) == 0 {
		return "/plain", "/plain"
	}
	for _, c := range v.Captures {
		if c != nil {
			pattern += "/{(.*)x}"
			path += "/" + *c + "x"
			continue
		}
		pattern += "/{y|(z)}"
		path += "/y"
	}
	return pattern, path
}

func (v *vector) document() ([]byte, string) {
	pattern, path := v.path()
	text, err := json.Marshal([]map[string]any{{
		"path": pattern,
		"conditions": []map[string]any{{
			"httpMethods":      []string{"GET"},
			"scope_expression": map[string]any{"rule": v.Rule, "data": v.Data},
		}},
	}})
	if err != nil {
		panic(err)
	}
	return text, path
}

func TestVectorsHold(t *testing.T) {
	vectors := readVectors(t)
	if len(vectors) < 371 {
		t.Fatalf("%d vectors, want 371 or more", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.ID, func(t *testing.T) {
			text, path := v.document()
			policy, err := load(text)
			if v.Want == "refused" {
				checkRefusal(t, v, err)
				return
			}
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			rule := policy.Find("GET", path)
			if rule == nil {
				t.Fatalf("no rule for %s", path)
			}
			scopes := NewScopes(policy, v.Scopes)
			for _, how := range []string{"at first", "from memory"} {
				if got := rule.Decide(path, scopes); got != (v.Want == "allow") {
					t.Errorf("%s: got %v, want %s", how, got, v.Want)
				}
			}
			if x := rule.Explain(path, v.Scopes); x.Granted != (v.Want == "allow") || x.Failed != "" {
				t.Errorf("explained: got %+v, want %s", x, v.Want)
			}
			if got := slowlyGrants(v, v.Captures); got != (v.Want == "allow") {
				t.Errorf("the slow evaluator of the tests: got %v, want %s", got, v.Want)
			}
		})
	}
}

func load(text []byte) (*Policy, error) {
	d, err := ParseDocument(text)
	if err != nil {
		return nil, err
	}
	return d.Compile(Options{})
}

// checkRefusal looks whether a vector is refused for its reason and not for
// another one.
func checkRefusal(t *testing.T, v vector, err error) {
	t.Helper()
	e, ok := err.(*Error)
	if !ok {
		t.Fatalf("got %v, want refused (%s)", err, v.Why)
	}
	where := map[string]string{"rule": ".rule", "capture reference": ".data"}[v.Why]
	if where == "" {
		t.Fatalf("unknown reason %q", v.Why)
	}
	// A vector may be wrong in both ways, and says one of them.
	if !strings.Contains(e.Path.String(), ".rule") && !strings.Contains(e.Path.String(), where) {
		t.Errorf("refused at %s for %q, want it at %s", e.Path, e.Reason, where)
	}
	if e.Line == 0 || e.Hint == "" {
		t.Errorf("refused without a place or a hint: %s", fmt.Sprintf("%+v", e))
	}
}
