// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"fmt"
	"strings"
	"testing"
)

// hostileSets are rules and paths that are meant to be slow: everything fits
// until the end, where nothing does.
var hostileSets = []struct {
	name  string
	rules func() []rule
	path  string
}{
	{
		// Two ways at each of 12 elements, that is 4,096 patterns.
		"either", func() (all []rule) {
			for i := range 1 << 12 {
				path := ""
				for bit := range 12 {
					path += [...]string{"/a", "/?"}[i>>bit&1]
				}
				all = append(all, rule{"GET", path + "/end"})
			}
			return all
		}, strings.Repeat("/a", 12) + "/other",
	}, {
		// ?? at each of 60 places, each followed by each of 60 tails.
		"multi", func() (all []rule) {
			for before := range 60 {
				for after := range 60 {
					all = append(all, rule{"GET", strings.Repeat("/?", before) + "/??" + strings.Repeat("/?", after) + "/end"})
				}
			}
			return all
		}, strings.Repeat("/a", 200) + "/other",
	}, {
		// The method is the last choice, so all of this fits but for the method.
		"method", func() (all []rule) {
			for before := range 60 {
				for after := range 60 {
					all = append(all, rule{"POST", strings.Repeat("/?", before) + "/??" + strings.Repeat("/?", after)})
				}
			}
			return all
		}, strings.Repeat("/a", 200),
	}, {
		"2000elements", func() (all []rule) {
			for n := range 500 {
				all = append(all, rule{"GET", "/??" + strings.Repeat("/a", n) + "/end"}, rule{"GET", "/??/?" + strings.Repeat("/?", n) + "/end"})
			}
			return append(all, rule{"GET", strings.Repeat("/?", 1999) + "/end"})
		}, strings.Repeat("/a", 1999) + "/other",
	}, {
		// Expressions that have to read the whole element, too few for an index.
		"64KiB", func() (all []rule) {
			for i := range fewSiblings {
				all = append(all, rule{"GET", fmt.Sprintf("/{(?:a|aa)*b?c{%d}}/??/end", i)})
			}
			return all
		}, "/" + strings.Repeat("a", 64<<10) + "/other",
	}, {
		// One that package regexp must run, since its automaton would have to
		// remember 60 characters.
		"64KiBslow", func() []rule {
			return []rule{{"GET", "/{(?:a|aa)*[ab]{60}b}"}}
		}, "/" + strings.Repeat("a", 64<<10),
	}, {
		"64KiBsiblings", func() (all []rule) {
			for i := range 1000 {
				all = append(all, rule{"GET", fmt.Sprintf("/{a*x?%d+b?}/?", i)}, rule{"GET", fmt.Sprintf("/text%d", i)})
			}
			return all
		}, "/" + strings.Repeat("a", 64<<10) + "/end",
	},
}

func BenchmarkMatchHostile(b *testing.B) {
	for _, h := range hostileSets {
		b.Run(h.name, func(b *testing.B) {
			all := h.rules()
			tree := buildTree(b, all)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if _, p, ok := tree.Match("GET", h.path); ok {
					b.Fatal("found", p)
				}
			}
			b.ReportMetric(float64(len(all)), "rules")
		})
	}
}

// visits counts how often the search enters a node, by the same rules as
// search.match but without its answer: it counts what is entered if no pattern
// fits in the end.
func visits(n *node, path string, elements int) int {
	if !n.fits(elements) {
		return 0
	}
	count := 1
	if elements > 0 {
		element, rest := firstElement(path)
		if c := n.literal(element); c != nil {
			count += visits(c, rest, elements-1)
		}
		for e := n.regexps; e != nil; e = e.next {
			if e.re.MatchWhole(element) {
				count += visits(e.to, rest, elements-1)
			}
		}
		if n.any != nil {
			count += visits(n.any, rest, elements-1)
		}
	}
	if n.rare != nil {
		for _, tail := range n.rare.tails {
			if tail <= elements {
				count += visits(n.rare.multi, skipElements(path, elements-tail), tail)
			}
		}
	}
	return count
}

// The bound that the package comment states: no path, however long, makes the
// search enter more nodes than the patterns have elements and ends, as long as
// they have 62 elements or less.
func TestBound(t *testing.T) {
	for _, h := range hostileSets {
		all := h.rules()
		size := 0
		for _, r := range all {
			size += strings.Count(r.path, "/") + 1
		}
		if got := visits(&buildTree(t, all).root, h.path, strings.Count(h.path, "/")); got > size {
			t.Errorf("%s: the search enters %d nodes, the patterns have a size of %d", h.name, got, size)
		} else {
			t.Logf("%s: %d of %d", h.name, got, size)
		}
	}
}
