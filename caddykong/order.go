// SPDX-License-Identifier: Apache-2.0

package caddykong

import (
	"cmp"
	"slices"
	"strings"
)

// This file says which of several routes that match a request gets it. It is the
// order of Kong's router "traditional_compatible".
//
// A route with several paths is split: all of its regular expressions are one
// rule, and its prefixes are one rule for each length. So a long prefix does not
// lend its rank to a short one of the same route. Rules are in descending order of
//
//  1. the number of kinds of conditions among methods, hosts, headers, snis, paths;
//  2. having hosts, none of which has a wildcard;
//  3. the number of headers;
//  4. having regular expressions for the path;
//  5. regex_priority, if so;
//  6. the length of the prefix.
//
// Rules that are equal in all of this are in the order of the configuration.

// rank is what rules are ordered by.
type rank struct {
	kinds         int
	plainHosts    bool
	headers       int
	regex         bool
	regexPriority int
	length        int
}

// maxHeaders is the number of headers above which more of them do not count.
const maxHeaders = 255

// compareRanks is negative if a goes before b.
func compareRanks(a, b rank) int {
	return cmp.Or(
		cmp.Compare(b.kinds, a.kinds),
		compareBools(b.plainHosts, a.plainHosts),
		cmp.Compare(b.headers, a.headers),
		compareBools(b.regex, a.regex),
		cmp.Compare(b.regexPriority, a.regexPriority),
		cmp.Compare(b.length, a.length),
	)
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// rankOf returns the rank of one rule of a route: of its regular expressions,
// or of its prefixes of a length.
func rankOf(m *MatchRoute, regex bool, length int) rank {
	r := rank{
		headers:    min(len(m.Headers), maxHeaders),
		plainHosts: len(m.Hosts) > 0 && !slices.ContainsFunc(m.Hosts, func(h string) bool { return strings.Contains(h, "*") }),
		regex:      regex,
		length:     length,
	}
	for _, is := range []bool{len(m.Methods) > 0, len(m.Hosts) > 0, len(m.Headers) > 0, len(m.SNIs) > 0, len(m.Paths) > 0} {
		if is {
			r.kinds++
		}
	}
	if regex {
		r.regexPriority = m.RegexPriority
	}
	return r
}

// split returns the paths of a route by rule: regular expressions first, then
// prefixes by length. A route without paths is one rule without paths.
func split(paths []string) [][]string {
	if len(paths) == 0 {
		return [][]string{nil}
	}
	var rules [][]string
	for _, path := range paths {
		i := slices.IndexFunc(rules, func(rule []string) bool {
			return isRegex(rule[0]) == isRegex(path) && (isRegex(path) || len(rule[0]) == len(path))
		})
		if i < 0 {
			rules = append(rules, []string{path})
		} else {
			rules[i] = append(rules[i], path)
		}
	}
	return rules
}

func isRegex(path string) bool { return strings.HasPrefix(path, "~") }
