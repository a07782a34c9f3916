// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"cmp"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
)

func mustRegexp(t testing.TB, source string) Regexp {
	t.Helper()
	re, err := CompileRegexp(source)
	if err != nil {
		t.Fatal(err)
	}
	return re
}

// Neither flags nor alternatives nor lines widen an expression.
func TestRegexpMatchesAsAWhole(t *testing.T) {
	for _, test := range []struct {
		source, text string
		want         bool
	}{
		{`\d+`, "12", true},
		{`\d+`, "12a", false},
		{`\d+`, "a12", false},
		{`\d+`, "12\n", false},
		{`^\d+$`, "12\n", false},
		{`(?m)^a$`, "a", true},
		{`(?m)^a$`, "a\nb", false},
		{`(?m)^a$\n^b$`, "a\nb", true},
		{`(?s).*`, "a\nb", true},
		{`.*`, "a\nb", false},
		{`a|b`, "b", true},
		{`a|b`, "ab", false},
		{`a|ab|abc`, "abc", true},
		{`(?U)a+`, "aaa", true},
		{`a+?`, "aaa", true},
		{`^$`, "", true},
		{`$^`, "", true},
		{`a^b`, "ab", false},
		{`(^|x)a`, "a", true},
		{`(^|x)a`, "xa", true},
		{`\bfoo\b-bar`, "foo-bar", true},
		{`\w+`, "é", false},
		{`\pL+`, "é", true},
		{`[^a]`, "é", true},
		{`.`, "\xff", true},
		{`.`, "\xc3\xa9", true},
		{`(?i)k`, "\u212a", true}, // the Kelvin sign is a k for Unicode

		{`(?=a)\w+`, "ab", true},
		{`(?=a)\w+`, "ab\n", false},
		{`(?=a)\w+$`, "ab\n", false},
		{`(?=a)\w+\Z`, "ab\n", false},
		{`(?!a)b|c`, "bc", false},
		{`(?m)(?=a)a$`, "a\nb", false},
		{`(?<!x)a`, "a", true},
		{`(?<=x)a`, "xa", false},
		{`x(?<=x)a`, "xa", true},
		{`(\w)\1`, "aa", true},
		{`(\w)\1`, "ab", false},
		{`(?<c>\w)\k<c>`, "éé", false},
		{`(?<c>.)\k<c>`, "éé", true},
		{`(?>a+)b`, "aab", true},
		{`(?!\d)\w`, "٣", false}, // \w is ASCII in both engines
	} {
		re := mustRegexp(t, test.source)
		if got, err := re.Match(test.text); got != test.want || err != nil {
			t.Errorf("%s, %q: got %v %v, want %v", test.source, test.text, got, err, test.want)
		}
		if _, got := re.Groups(test.text, nil); got != test.want || re.MatchWhole(test.text) != test.want {
			t.Errorf("%s, %q: the methods disagree", test.source, test.text)
		}
	}
}

func TestRegexpGroups(t *testing.T) {
	for _, test := range []struct{ source, text, names, want string }{
		{`(a)(b)?`, "a", "-,-", "a ~"},
		{`(\d+)|([a-z]+)`, "x", "-,-", "~ x"},
		{`(?<x>a)(b)(?P<y>c)`, "abc", "x,-,y", "a b c"},
		{`(a*)*`, "", "-", ""},

		// The other engine numbers unnamed groups first.
		{`(?=a)(?<x>a)(b)(?P<y>c)('d')?`, "abc", "x,-,y,-", "a b c ~"},
		{`(?!x)([(])\([)(](?:(.))`, "((())"[:4], "-,-", "( )"},
		{`(?'q'é)(?=.)([]é]+)`, "éé]", "q,-", "é é]"},
		{`(?=.)(.)\xff?(.+)`, "\xffa\xfe", "-,-", "\xff a\xfe"},
	} {
		re := mustRegexp(t, test.source)
		var names []string
		for _, name := range re.GroupNames() {
			names = append(names, cmp.Or(name, "-"))
		}
		captures, ok, err := re.Find(test.text, nil)
		if !ok || err != nil || captured(captures) != test.want ||
			strings.Join(names, ",") != test.names || re.NumGroups() != len(captures) {
			t.Errorf("%s, %q: got %q %q %v %v, want %q %q", test.source, test.text, names, captured(captures), ok, err, test.names, test.want)
		}
	}
}

func TestCompileRegexpRefuses(t *testing.T) {
	for source, want := range map[string]string{
		`(`:                                    "missing closing )",
		`a)|(b`:                                "unexpected )",
		`a{2000}`:                              "invalid repeat count",
		`((a{100}){100}){100}`:                 "invalid repeat count",
		`a++`:                                  "invalid nested repetition",
		`\h`:                                   `\h`,
		`(?=a)\h`:                              "unsupported escape sequence: `\\h`",
		`(?=a)\Qa\E`:                           "unsupported escape sequence: `\\Q`",
		`(?=a`:                                 "missing closing )",
		`(?=a)(?<n>a)(?<n>b)`:                  "duplicate group name",
		`(?<n>a)(b)\1`:                         "back-reference cannot be combined with named groups",
		`(?=a)(?<2>a)(b)`:                      "cannot be counted",
		`(?n)(?=a)(b)`:                         "cannot be counted",
		`(?x)(?=a)a # comment`:                 "comments are not supported",
		`(?R)`:                                 "unrecognized grouping construct",
		"\xff":                                 "invalid UTF-8",
		strings.Repeat("a", MaxRegexpLength+1): "longer than",
		strings.Repeat("(", 1500) + strings.Repeat(")", 1500): "nests too deeply",
	} {
		_, err := CompileRegexp(source)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: got %v, want %q", source, err, want)
		}
	}
}

// catastrophe is an expression that needs exponential time for hostile.
const catastrophe = `(?=a)(?:a|a|aa)+b`

var hostile = strings.Repeat("a", 60)

func TestRegexpTimeout(t *testing.T) {
	re := mustRegexp(t, catastrophe)
	if !re.MatchWhole("aab") {
		t.Error("the expression does not match what it should")
	}
	start := time.Now()
	if ok, err := re.Match(hostile); ok || !errors.Is(err, ErrRegexpTimeout) {
		t.Errorf("got %v %v, want %v", ok, err, ErrRegexpTimeout)
	}
	if elapsed := time.Since(start); elapsed > 50*perlTimeout {
		t.Errorf("it took %v", elapsed)
	}
	if _, ok, err := re.Find(hostile, nil); ok || !errors.Is(err, ErrRegexpTimeout) {
		t.Errorf("groups: got %v %v, want %v", ok, err, ErrRegexpTimeout)
	}
	if re.MatchWhole(hostile) {
		t.Error("an expression that runs out of time matches")
	}
}

// FuzzRegexp compares the automaton with package regexp, and checks that the
// index of sibling expressions never leaves one out that matches.
func FuzzRegexp(f *testing.F) {
	for _, source := range []string{
		`a|b`, `\d+`, `^(a|b)*$`, `[^a-c]?é+`, `(?i)straße|k`, `a{2,4}b?`, `(?s).*a.`, `$^`, `(^|b)a`, `.*ab.*cd`, `(?:)`,
		`todos|photos`, `[a-z]+-17-\d+`, "(?i)ſ\ufffd", `\pL`, `\b`, `(a|b)*a(a|b){3}`,
	} {
		f.Add(source, "aab-17-4")
		f.Add(source, "éſ\xffk")
	}
	// What the index must not get wrong: texts beyond its limits, and parts
	// of an expression that need not be there.
	long := strings.Repeat("a", 100)
	for _, seed := range [][2]string{
		{`(aa)*`, long}, {`(?:abc){0,2}x`, "x"}, {`(?:abc)?x`, "x"}, {`(?i)abc`, "ABC"}, {`(?i)abc`, "abc"}, {`é{40}`, strings.Repeat("é", 40)},
		{`(?:)`, ""}, {`a*`, ""}, {`.*zz`, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ACEGIKMOQSUWYzz"},
		{"a\ufffdb", "a\xffb"}, {`(?:ab|cd)ef`, "cdef"}, {`.{300}bc`, strings.Repeat("a", 300) + "bc"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, source, text string) {
		if len(source) > 100 || len(text) > 400 {
			return
		}
		re, err := CompileRegexp(source)
		if err != nil {
			return
		}
		l, ok := re.(*linear)
		if !ok {
			return
		}
		// The longest of the leftmost matches is the whole text if any match is.
		longest := regexp.MustCompile(source)
		longest.Longest()
		bounds := longest.FindStringIndex(text)
		want := bounds != nil && bounds[0] == 0 && bounds[1] == len(text)
		if _, found := l.Groups(text, nil); found != want {
			t.Fatalf("%q, %q: groups found %v, want %v", source, text, found, want)
		}
		if got := l.MatchWhole(text); got != want {
			t.Fatalf("%q, %q: got %v, want %v", source, text, got, want)
		}
		if !l.MatchWhole(text) {
			return
		}
		index := regexpIndex{known: make(map[Regexp]*node)}
		index.add(&regexpEdge{re: re})
		var properties elementProperties
		properties.read(text)
		if index.blocks[0].candidates(&properties) != 1 {
			t.Fatalf("%q, %q: the index leaves it out", source, text)
		}
		for _, required := range requiredLiterals(re) {
			if !strings.Contains(text, required) {
				t.Fatalf("%q, %q: %q is not required", source, text, required)
			}
		}
	})
}
