// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The oracle chooses a rule without a tree: it keeps a list of rules and works
// through the path with all of them, as section 4.1 of the design words it. It
// takes exponential time and shares no code with the tree but the matching of
// one element by an expression.

// candidate is a rule and what is left of its pattern.
type candidate struct {
	rule int
	rest []string
}

func oracle(all []rule, regexps map[string]Regexp, method, path string) int {
	// The path is chosen first, among the patterns that have a rule for the
	// method: the method itself, then GET for HEAD, then any.
	conditions := []string{method, Any}
	if method == "HEAD" {
		conditions = []string{method, "GET", Any}
	}
	var candidates []candidate
	for i, r := range all {
		candidates = append(candidates, candidate{i, splitPattern(r.path)})
	}
	var choose func(candidates []candidate, elements []string) int
	choose = func(candidates []candidate, elements []string) int {
		// take keeps the candidates with this next element, without it.
		take := func(element string) (taken []candidate) {
			for _, c := range candidates {
				if len(c.rest) > 0 && c.rest[0] == element {
					taken = append(taken, candidate{c.rule, c.rest[1:]})
				}
			}
			return taken
		}
		if len(candidates) == 0 {
			return -1
		}
		if len(elements) == 0 {
			for _, condition := range conditions {
				for _, c := range candidates {
					if len(c.rest) == 0 && all[c.rule].method == condition {
						return c.rule
					}
				}
			}
		} else {
			first, rest := elements[0], elements[1:]
			if first != "?" && first != "??" && !strings.HasPrefix(first, "{") {
				if i := choose(take(first), rest); i >= 0 {
					return i
				}
			}
			for _, c := range candidates { // in order of appearance
				if len(c.rest) > 0 && strings.HasPrefix(c.rest[0], "{") && regexps[c.rest[0]].MatchWhole(strings.ReplaceAll(first, "\x00", "/")) {
					if i := choose(take(c.rest[0]), rest); i >= 0 {
						return i
					}
				}
			}
			if i := choose(take("?"), rest); i >= 0 {
				return i
			}
		}
		for n := range len(elements) + 1 { // as few as possible
			if i := choose(take("??"), elements[n:]); i >= 0 {
				return i
			}
		}
		return -1
	}
	return choose(candidates, strings.Split(path, "/")[1:])
}

// splitPattern splits a pattern of the fuzz target, in which no expression
// contains a slash.
func splitPattern(pattern string) []string { return strings.Split(pattern, "/")[1:] }

// The vocabulary is small so that patterns and paths meet, and has so many
// expressions that a node finds them by its index.
var (
	vocabulary = []string{
		"a", "b", "ab", "aab", "é", "?", "?", "??", "??",
		"{a}", "{b}", "{a|b}", "{a+}", "{a+b?}", "{.*}", "{.}", "{..}", "{[ab]*}", "{(a)(b)?}", "{^$}", "{a?}",
		"{ab}", "{.*ab}", "{ab.*}", "{.*b.*}", "{[^a]+}", "{(?i)A}", "{é|a}", "{a{2}b}", "{b+}", "{(?:ab)+}", "{.+}",
		"{(?!a).*}", `{(.)\1.?}`, `{a\x2fb}`, `{[^\x2f]+}`, `{(b).+\1}`,
	}
	words    = []string{"a", "b", "ab", "aab", "é", "aa", "ba", "abab", "éa", "?", "A", "x", "a\x00b", "b\x00a\x00b"}
	methods3 = []string{"GET", "POST", "HEAD", Any}

	vocabularyRegexps = func() map[string]Regexp {
		all := make(map[string]Regexp)
		for _, e := range vocabulary {
			if strings.HasPrefix(e, "{") {
				re, err := CompileRegexp(e[1 : len(e)-1])
				if err != nil {
					panic(err)
				}
				all[e] = re
			}
		}
		return all
	}()
)

// FuzzMatch compares the tree with the oracle. The first bytes choose the
// rules, the others the requests.
func FuzzMatch(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03"), []byte("\x01\x02\x03"))
	f.Add([]byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), []byte("zyxwvutsrqponmlkjihgfedcba"))
	f.Add([]byte("\x07\x05\x00\x80\x07\x05\x05\x80\x05\x07\x80\x00\x07\x01\x80"), []byte("\x00\x01\x02\x80\x00\x00\x80\x01"))
	many := make([]byte, 0, 2*len(vocabulary))
	for i := range vocabulary {
		many = append(many, byte(i), 0x80)
	}
	f.Add(many, []byte("\x00\x80\x01\x80\x02\x80\x03\x80\x04\x80\x05\x80\x06\x80\x07"))
	f.Fuzz(func(t *testing.T, ruleBytes, requestBytes []byte) {
		if len(ruleBytes) > 200 || len(requestBytes) > 100 {
			return
		}
		var all []rule
		seen := make(map[rule]bool)
		for _, path := range makePaths(ruleBytes, vocabulary) {
			r := rule{methods3[len(all)*7%len(methods3)], path.text}
			if path.salt&1 != 0 {
				r.method = Any
			}
			if _, err := Parse(r.path); err == nil && !seen[r] {
				seen[r] = true
				all = append(all, r)
			}
		}
		tree := buildTree(t, all)
		for _, path := range makePaths(requestBytes, words) {
			for _, method := range []string{"GET", "HEAD", "POST", "get", Any} {
				want := "none"
				if i := oracle(all, vocabularyRegexps, method, path.text); i >= 0 {
					want = all[i].method + " " + all[i].path
				}
				if got := found(tree, all, method, path.text); got != want {
					t.Fatalf("%v\n%s %s: got %s, want %s", all, method, path.text, got, want)
				}
				checkAgainstWalk(t, tree, all, method, path.text, want)
			}
		}
	})
}

type testPath struct {
	text string
	salt byte
}

// makePaths makes paths of bytes: each byte is an element, one beyond 127 ends a
// path, after a slash if it is odd.
func makePaths(data []byte, elements []string) (paths []testPath) {
	var path strings.Builder
	end := func(c byte) {
		if c&1 != 0 || path.Len() == 0 {
			path.WriteByte('/')
		}
		paths = append(paths, testPath{path.String(), c >> 1})
		path.Reset()
	}
	for _, c := range data {
		if c < 0x80 {
			path.WriteString("/" + elements[int(c)%len(elements)])
			if strings.Count(path.String(), "/") < 7 {
				continue
			}
		}
		end(c)
	}
	end(0)
	return paths
}

// checkAgainstWalk checks that the first rule in the order of Walk that fits
// by itself is the one that is found, up to the method.
func checkAgainstWalk(t *testing.T, tree *Tree[int], all []rule, method, path, want string) {
	t.Helper()
	first := "none"
	tree.Walk(func(p *Pattern, m string, i int) bool {
		fits := m == method || m == Any || method == "HEAD" && m == "GET"
		if !fits || !p.Matches(path) {
			return true
		}
		first = p.String()
		return false
	})
	if _, pattern, _ := strings.Cut(want, " "); first != want && first != pattern {
		t.Fatalf("%v\n%s %s: found %s, the first in order is %s", all, method, path, want, first)
	}
}

// The oracle itself must be right about what the documentation says.
func TestOracle(t *testing.T) {
	all := rules("GET /a/?/??", "GET /??", "POST /a/{b}/{.}", "? /a/b/{.}", "GET /{.}/b/c")
	for request, want := range map[string]int{
		"GET /a/b/c": 3, "POST /a/b/c": 3, "GET /a/x": 0, "GET /x/b/c": 4, "HEAD /": 1, "PUT /a/b/xx": -1, "POST /a/b": -1,
	} {
		method, path, _ := strings.Cut(request, " ")
		regexps := make(map[string]Regexp)
		for _, r := range all {
			for _, e := range splitPattern(r.path) {
				if strings.HasPrefix(e, "{") {
					regexps[e] = mustRegexp(t, strings.Trim(e, "{}"))
				}
			}
		}
		if got := oracle(all, regexps, method, path); got != want {
			t.Errorf("%s: got %d, want %d", request, got, want)
		}
	}
	if !slices.IsSorted([]int{fewLiterals, fewSiblings, len(vocabularyRegexps)}) {
		t.Error(fmt.Sprint("the vocabulary is too small for the index of a node: ", len(vocabularyRegexps)))
	}
}
