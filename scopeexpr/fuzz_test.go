// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// FuzzParseDocument: no text crashes the parser, and what it takes it writes
// out and takes again.
func FuzzParseDocument(f *testing.F) {
	for i, v := range readVectors(f) {
		if i%20 == 0 {
			text, _ := v.document()
			f.Add(text)
		}
	}
	f.Add([]byte(`"[]"`))
	f.Add([]byte(`[{"path": "", "conditions": []}]`))
	f.Add([]byte(`[{"path": "/\u00e4/{(a|b)}/??", "conditions": [{"httpMethods": ["?"], "scope_expression": {"rule": {"?:": [{"var": ["0"]}, true, null]}, "data": ["^\ud800"]}, "acr": ["a"], "max_age": 1}]}]`))
	f.Add([]byte(`[{"path": "/a", "conditions": [{"httpMethods": ["GET"], "resource_id": "x", "scope_expression": {"rule": {"and": {"var": 0}}, "data": ["a"]}}]} , {}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := ParseDocument(text)
		if err != nil {
			checkError(t, err)
			return
		}
		p, err := d.Compile(Options{})
		written, errWrite := json.Marshal(d)
		if errWrite != nil {
			t.Fatalf("cannot be written: %v", errWrite)
		}
		again, errAgain := ParseDocument(written)
		if errAgain != nil {
			t.Fatalf("written as %s, then: %v", written, errAgain)
		}
		q, errCompile := again.Compile(Options{})
		if (err == nil) != (errCompile == nil) {
			t.Fatalf("%v, but written and read again %v", err, errCompile)
		}
		if err != nil {
			checkError(t, err)
			return
		}
		if p.NumRules() != q.NumRules() || p.NumRules() == 0 {
			t.Fatalf("%d rules, then %d", p.NumRules(), q.NumRules())
		}
		for _, r := range p.Rules() {
			if r.Decide("/", nil) {
				t.Fatal("granted without a token")
			}
		}
	})
}

// checkError: every refusal says what to write instead, and has a place in the
// text.
func checkError(t *testing.T, err error) {
	t.Helper()
	e, ok := err.(*Error)
	if !ok || e.Reason == "" || e.Hint == "" || e.Line == 0 && len(e.Path) > 0 || strings.Contains(e.Error(), "%!") {
		t.Fatalf("a poor error: %#v", err)
	}
}

// FuzzParseShort: no text crashes the parser, and what it takes it prints and
// takes again.
func FuzzParseShort(f *testing.F) {
	for _, text := range []string{
		"a", "a and b or not c", "not (a || b) && ^t:(?<PC1>.+)$", `"a(b" or 'c' or` + " `d`", "(^a\\)b or ((c)))", "!!a", "not(not a)",
		"a&&b", `^a(b c)`, "and", "not", "((((a))))", `"and" and "\"`, "^ or ^)", "'\"`'",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseShort(text)
		if err != nil {
			if short, ok := err.(*Error); !ok || short.Line == 0 || short.Hint == "" {
				t.Fatalf("a poor error: %#v", err)
			}
			return
		}
		if _, err := parseLogic(e.Rule, len(e.Data)); err != nil {
			t.Fatalf("%q becomes %s, which is refused: %v", text, e.Rule, err)
		}
		short, err := e.Short()
		if err != nil {
			t.Fatalf("%q becomes %s %q, which cannot be printed: %v", text, e.Rule, e.Data, err)
		}
		if again, err := ParseShort(short); err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("%q is printed as %q, which is %+v, %v", text, short, again, err)
		}
	})
}

// FuzzDecide compares decisions with those of the slow evaluator in
// slow_test.go, for rules, data, captures and scopes made from a seed.
func FuzzDecide(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed, byte(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, size byte) {
		g := generator{rand.New(rand.NewPCG(seed, 1))}
		v := vector{Data: g.data(1 + int(size)%12)}
		v.Rule = json.RawMessage(g.rule(len(v.Data), 1+int(size)%4))
		if size%8 == 0 {
			v.Data = append(v.Data, make([]string, 70)...)
		}
		v.Captures = g.captures() // as many for each path
		text, _ := v.document()
		p, err := load(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for range 4 {
			v.Scopes = g.scopes()
			s := NewScopes(p, v.Scopes)
			for range 3 {
				captures := g.captures()
				// The pattern stays, so what is absent stays absent.
				for i := range captures {
					if v.Captures[i] == nil || captures[i] == nil {
						captures[i] = v.Captures[i]
					}
				}
				of := vector{Captures: captures}
				_, path := of.path()
				rule := p.Find("GET", path)
				if rule == nil {
					t.Fatalf("%s: no rule for %s", text, path)
				}
				want := slowlyGrants(v, captures)
				if got := rule.Decide(path, s); got != want {
					t.Fatalf("%s\n%s with %q: got %v, want %v", text, path, v.Scopes, got, want)
				}
				if x := rule.Explain(path, v.Scopes); x.Granted != want || (x.Tree.Value == true) != want {
					t.Fatalf("%s\n%s with %q: explained as %+v, want %v", text, path, v.Scopes, x, want)
				}
				checkShort(t, v, captures, want)
			}
		}
	})
}

// checkShort: the short form of a rule, if it has one, decides the same.
func checkShort(t *testing.T, v vector, captures []*string, want bool) {
	short, err := (&Expression{Rule: v.Rule, Data: v.Data}).Short()
	if err != nil {
		return
	}
	e, err := ParseShort(short)
	if err != nil {
		t.Fatalf("%s %q is printed as %q: %v", v.Rule, v.Data, short, err)
	}
	v.Rule, v.Data = e.Rule, e.Data
	if got := slowlyGrants(v, captures); got != want {
		t.Fatalf("the short form %q decides %v, want %v", short, got, want)
	}
}

type generator struct{ *rand.Rand }

func (g generator) pick(from ...string) string { return from[g.IntN(len(from))] }

func (g generator) data(n int) []string {
	data := make([]string, n)
	for i := range data {
		data[i] = g.pick("a", "b", "c", "t:1", "t:2", "^t:.+$", "^t:(?<PC1>.+)$", "^(?<PC1>[a-z]):(?<PC2>.*)$", "^(?<PC2>.+):(?<PC1>.+)$",
			"^t:(?<PC3>1)?$", "^[ab]", "^(?P<PC1>t):(?<other>.+)$", "^(?:a|b|(?<PC2>c))$", "^a|b$")
	}
	return data
}

func (g generator) captures() []*string {
	captures := make([]*string, 3)
	for i := range captures {
		if c := g.pick("1", "2", "t", "a", "c", "", "-"); c != "-" {
			captures[i] = &c
		}
	}
	return captures
}

func (g generator) scopes() []string {
	scopes := make([]string, g.IntN(6))
	for i := range scopes {
		scopes[i] = g.pick("a", "b", "c", "A", "ab", "t:", "t:1", "t:2", "1:t", "2:a", "t:a", "a:c", "c:", "")
	}
	return scopes
}

// rule writes a rule over n entries, nested so deep.
func (g generator) rule(n, depth int) string {
	if depth == 0 {
		return fmt.Sprintf(g.pick(`{"var": %d}`, `{"var": "%d"}`, `{"var": [%d]}`), g.IntN(n))
	}
	op := g.pick("and", "or", "and", "or", "!", "!!", "==", "!=", "===", "!==", "if", "?:")
	count := 1 + g.IntN(4)
	switch op {
	case "!", "!!":
		count = 1
	case "==", "!=", "===", "!==":
		count = 2
	case "if", "?:":
		count = g.IntN(6)
	}
	operands := make([]string, count)
	for i := range operands {
		operands[i] = g.rule(n, g.IntN(depth))
		if g.IntN(6) == 0 {
			operands[i] = g.constant(op, operands[i])
		}
	}
	list := "[" + strings.Join(operands, ", ") + "]"
	if count == 1 && g.IntN(2) == 0 {
		list = operands[0]
	}
	return fmt.Sprintf("{%q: %s}", op, list)
}

// constant returns a constant that may be an operand of op, otherwise the operand.
func (g generator) constant(op, operand string) string {
	constant := g.pick("true", "false", "null", "0", "1", "2.5", `""`, `"a"`, `"1"`)
	switch op {
	case "!", "!!":
		return operand
	case "and", "or":
		return g.pick("true", "false", `{"if": `+constant+`}`)
	}
	return constant
}
