// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"strings"
	"testing"
)

func TestCovers(t *testing.T) {
	for _, test := range []struct {
		wide, narrow    string
		covers, covered bool // wide covers narrow, narrow covers wide
	}{
		{"/a/?", "/a/?", true, true},
		{"/a/?", "/a/b", true, false},
		{"/a/?", "/a/", true, false},
		{"/a/?", "/a", false, false},
		{"/a/?", "/a/b/c", false, false},
		{"/a/?", "/b/?", false, false},
		{"/a/?", "/a/{\\d+}", true, false},

		{"/a/{.*}", "/a/?", true, true},
		{"/a/{^(.*)$}", "/a/?", true, true},
		{`/a/{[^\x2f]*}`, "/a/?", true, true},
		{"/a/{.+}", "/a/?", false, true},
		{"/a/{\\d+}", "/a/12", true, false},
		{"/a/{\\d+}", "/a/1x", false, false},
		{"/{a|b|c}", "/{a|b}", true, false},
		{"/{a|b|c}", "/{(?:a|[bc])}", true, true},
		{"/{[a-z]+}", "/{ab?|c}", true, false},
		{"/{[a-z]+}", "/{a1?}", false, false},
		{"/a", "/{^a$}", true, true},
		{"/a", "/{(?i)a}", false, true},
		{`/{(\w)\1}`, "/aa", true, false},
		{`/{(\w)\1}`, `/{(\w)\1}`, true, true},
		{`/{\d}`, `/{\d\d}`, false, false},
		{"/{a}", "/{[[:^ascii:]]}", false, false}, // too many texts to try

		{"/??", "/", true, false},
		{"/??", "/a/b", true, false},
		{"/??", "/a/??", true, false},
		{"/a/??", "/a", true, false},
		{"/a/??", "/??", false, true},
		{"/a/??/z", "/a/z", true, false},
		{"/a/??/z", "/a/?/z", true, false},
		{"/a/??/z", "/a/b/??/z", true, false},
		{"/a/??/z", "/a/b/??/y/z", true, false},
		{"/a/??/z", "/a/??", false, true},
		{"/a/??/a", "/a", false, false},
		{"/?/??", "/??/?", false, false}, // equal, though there is no proof
	} {
		t.Run(test.wide+" and "+test.narrow, func(t *testing.T) {
			wide, narrow := mustParse(t, test.wide), mustParse(t, test.narrow)
			if got := wide.Covers(narrow); got != test.covers {
				t.Errorf("%s covers %s: got %v", wide, narrow, got)
			}
			if got := narrow.Covers(wide); got != test.covered {
				t.Errorf("%s covers %s: got %v", narrow, wide, got)
			}
		})
	}
}

func TestDisjoint(t *testing.T) {
	for _, test := range []struct {
		one, other string
		want       bool
	}{
		{"/a", "/a", false},
		{"/a", "/b", true},
		{"/a", "/?", false},
		{"/a", "/?/?", true},
		{"/a/b", "/a/?/c", true},
		{"/a/b", "/{a|b}/?", false},
		{"/c/b", "/{a|b}/?", true},
		{"/{a|b}", "/{c|d}", true},
		{"/{a|b}", "/{[b-z]+}", false},
		{"/{a|b}", "/{[c-z]+}", true},
		{"/{a+}", "/{b+}", false}, // disjoint, though there is no proof
		{"/??", "/", false},
		{"/a/??", "/a", false},
		{"/a/??", "/b/??", true},
		{"/a/??/z", "/a", true},
		{"/a/??/z", "/??/y", true},
		{"/a/??/z", "/?/??", false},
		{"/a/??/z", "/a/b/y", true},
		{"/a/b/??", "/??/c", false},
		{"/a/b/??", "/a/??/c", false},
		{"/a/??/c", "/b/d", true},
	} {
		t.Run(test.one+" and "+test.other, func(t *testing.T) {
			one, other := mustParse(t, test.one), mustParse(t, test.other)
			if got := one.Disjoint(other); got != test.want {
				t.Errorf("got %v", got)
			}
			if got := other.Disjoint(one); got != test.want {
				t.Errorf("the other way round: got %v", got)
			}
		})
	}
}

// FuzzCovers looks for a path that refutes what Covers and Disjoint claim.
func FuzzCovers(f *testing.F) {
	f.Add([]byte("\x00\x05\x80\x00\x0b"), []byte("\x00\x01\x02\x80\x00\x00\x80\x01"))
	f.Add([]byte("\x07\x05\x00\x80\x05\x07\x80\x00\x07\x01\x80"), []byte("\x00\x80\x01\x80\x02\x80\x03\x80\x04\x80\x05\x80\x06\x80\x07"))
	for i := range vocabulary {
		f.Add([]byte{byte(i), 0x80, byte(i + 1), 0x80, byte(i), 5, 0x80, 7, byte(i), 0x80}, []byte("\x00\x80\x01\x80\x02\x80\x03\x01\x81\x04\x80\x05\x02"))
	}
	f.Fuzz(func(t *testing.T, patternBytes, pathBytes []byte) {
		if len(patternBytes) > 40 || len(pathBytes) > 100 {
			return
		}
		var patterns []*Pattern
		for _, s := range makePaths(patternBytes, vocabulary) {
			if p, err := Parse(s.text); err == nil {
				patterns = append(patterns, p)
			}
		}
		paths := makePaths(pathBytes, words)
		for _, p := range patterns {
			for _, q := range patterns {
				refute(t, p, q, paths)
			}
		}
	})
}

func refute(t *testing.T, p, q *Pattern, paths []testPath) {
	covers, disjoint := p.Covers(q), p.Disjoint(q)
	if disjoint != q.Disjoint(p) {
		t.Fatalf("%s and %s are disjoint in one direction only", p, q)
	}
	if p.String() == q.String() && !covers {
		t.Fatalf("%s does not cover itself", p)
	}
	// Words of the expressions themselves, since few paths hit one by chance.
	for _, s := range append(paths, testPath{text: wordFor(p)}, testPath{text: wordFor(q)}) {
		inP, inQ := p.Matches(s.text), q.Matches(s.text)
		if covers && inQ && !inP {
			t.Fatalf("%s covers %s, but does not match %s", p, q, s.text)
		}
		if disjoint && inP && inQ {
			t.Fatalf("%s and %s are disjoint, but both match %s", p, q, s.text)
		}
	}
}

// wordFor makes a path that p is likely to match.
func wordFor(p *Pattern) string {
	var path strings.Builder
	for _, e := range p.elements {
		path.WriteByte('/')
		if known := e.language().words; known != nil {
			path.WriteString(known[0])
		} else if e.kind == literalElement {
			path.WriteString(e.text)
		}
	}
	return path.String()
}

func BenchmarkCovers(b *testing.B) {
	wide, narrow := mustParse(b, `/api/{v\d+}/??`), mustParse(b, "/api/{v1|v2}/users/?/{todos|photos}")
	b.ReportAllocs()
	for b.Loop() {
		if !wide.Covers(narrow) {
			b.Fatal("not covered")
		}
	}
}
