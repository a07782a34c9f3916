// SPDX-License-Identifier: Apache-2.0

package caddykong

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/internal/kongpath"
)

// index finds the first of many rules that matches a request.
type index struct {
	exact    map[string]*tree // by host
	suffixes map[string]*tree // by what follows the `*`: ".example.com"
	prefixes map[string]*tree // by what is before it: "example."
	any      *tree            // rules without hosts
}

// rule is a part of a route: see order.go.
type rule struct {
	rank
	position int // among all rules, the first that goes before others is 0
	route    int // its place in the configuration
	of       *MatchRoute
	paths    []string
	headers  []headerCondition
}

// place is a rule at a node of a tree, with what the way to the node does not
// say.
type place struct {
	rule  *rule
	regex *kongpath.Regex // nil for a prefix
	port  int             // of the host; 0: any
}

// headerCondition is a header of which one value must be there.
type headerCondition struct {
	name   string // canonical
	values []string
	regexs []*regexp.Regexp
}

// newIndex compiles routes in the order of the configuration.
func newIndex(routes []*MatchRoute) (*index, error) {
	rules, err := compileRules(routes)
	if err != nil {
		return nil, err
	}
	x := &index{exact: map[string]*tree{}, suffixes: map[string]*tree{}, prefixes: map[string]*tree{}, any: new(tree)}
	for _, rule := range rules {
		if err := x.add(rule); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// compileRules splits routes into rules and puts these in order.
func compileRules(routes []*MatchRoute) ([]*rule, error) {
	var rules []*rule
	for i, route := range routes {
		if err := route.check(); err != nil {
			return nil, route.located(err)
		}
		headers, err := compileHeaders(route.Headers)
		if err != nil {
			return nil, route.located(err)
		}
		for _, paths := range split(route.Paths) {
			regex, length := false, 0
			if len(paths) > 0 {
				if regex = isRegex(paths[0]); !regex {
					length = len(paths[0])
				}
			}
			rules = append(rules, &rule{rank: rankOf(route, regex, length), route: i, of: route, paths: paths, headers: headers})
		}
	}
	slices.SortStableFunc(rules, func(a, b *rule) int { return compareRanks(a.rank, b.rank) })
	for i, rule := range rules {
		rule.position = i
	}
	return rules, nil
}

// located names the route of an error.
func (m *MatchRoute) located(err error) error {
	if m.Name == "" && m.ID == "" {
		return fmt.Errorf("gluu_route: %w", err)
	}
	name := m.Name
	if name == "" {
		name = m.ID
	}
	return fmt.Errorf("route %q: %w", name, err)
}

func compileHeaders(headers map[string][]string) (compiled []headerCondition, err error) {
	for name, values := range headers {
		condition := headerCondition{name: http.CanonicalHeaderKey(name)}
		for _, value := range values {
			pattern, isRegex := strings.CutPrefix(value, "~*")
			if !isRegex {
				condition.values = append(condition.values, strings.ToLower(value))
				continue
			}
			regex, err := regexp.Compile("(?i)" + pattern)
			if err != nil {
				return nil, fmt.Errorf("headers: %s: %q is not a regular expression that Go's engine runs: %w", name, value, err)
			}
			condition.regexs = append(condition.regexs, regex)
		}
		compiled = append(compiled, condition)
	}
	slices.SortFunc(compiled, func(a, b headerCondition) int { return strings.Compare(a.name, b.name) })
	return compiled, nil
}

// add puts a rule into the tree of each of its hosts.
func (x *index) add(rule *rule) error {
	hosts := rule.of.Hosts
	if len(hosts) == 0 {
		return x.any.add(rule, 0)
	}
	for _, host := range hosts {
		name, port, err := splitPort(host)
		if err != nil {
			return err
		}
		trees := x.exact
		if suffix, ok := strings.CutPrefix(name, "*"); ok {
			trees, name = x.suffixes, suffix
		} else if prefix, ok := strings.CutSuffix(name, "*"); ok {
			trees, name = x.prefixes, prefix
		}
		if trees[name] == nil {
			trees[name] = new(tree)
		}
		if err := trees[name].add(rule, port); err != nil {
			return err
		}
	}
	return nil
}

// search is one request and the best rule for it so far.
type search struct {
	r       *http.Request
	path    string
	port    string
	best    *place
	matched int   // length of the prefix that has matched; -1: ask the expression
	err     error // of the best: its expression took too long
}

// lookup returns the first rule that matches; none if there is no such rule.
func (x *index) lookup(r *http.Request) (match, error) {
	s := search{r: r, path: kongpath.Of(r.URL)}
	host, port, _ := cutPort(r.Host)
	s.port = port
	host = strings.ToLower(host) // allocates only if there is a capital
	x.any.find(&s)
	if tree := x.exact[host]; tree != nil {
		tree.find(&s)
	}
	x.findWildcards(&s, host)
	if s.err != nil {
		return match{}, caddyhttp.Error(http.StatusServiceUnavailable, fmt.Errorf("route %q: the regular expression for the path took too long", s.best.rule.of.Name))
	}
	if s.best == nil {
		return match{}, nil
	}
	return match{rule: s.best.rule, regex: s.best.regex, path: s.path, length: s.matched}, nil
}

func (x *index) findWildcards(s *search, host string) {
	if len(x.suffixes) == 0 && len(x.prefixes) == 0 {
		return
	}
	for i := range len(host) {
		if host[i] != '.' {
			continue
		}
		if tree := x.suffixes[host[i:]]; tree != nil && i > 0 {
			tree.find(s)
		}
		if tree := x.prefixes[host[:i+1]]; tree != nil && i+1 < len(host) {
			tree.find(s)
		}
	}
}

// consider takes a place at a node as the best if it matches. The path up to
// depth is known to match.
func (s *search) consider(p *place, depth int) {
	if !s.isPort(p.port) || !p.rule.matches(s.r) {
		return
	}
	if p.regex == nil {
		s.best, s.matched, s.err = p, depth, nil
		return
	}
	ok, err := p.regex.Matches(s.path)
	if ok || err != nil {
		s.best, s.matched, s.err = p, -1, err
	}
}

// isPort reports whether the request is for a port: the one that its Host
// names, or the default one of its protocol.
func (s *search) isPort(port int) bool {
	switch {
	case port == 0:
		return true
	case s.port != "":
		return s.port == strconv.Itoa(port)
	case isSecure(s.r):
		return port == 443
	}
	return port == 80
}

// matches reports whether a request meets the conditions that are not about
// its host and path.
func (r *rule) matches(req *http.Request) bool {
	if len(r.of.Methods) > 0 && !slices.Contains(r.of.Methods, req.Method) {
		return false
	}
	if len(r.of.SNIs) > 0 && req.TLS != nil && !r.isSNI(req.TLS.ServerName) {
		return false
	}
	for i := range r.headers {
		if !r.headers[i].matches(req.Header[r.headers[i].name]) {
			return false
		}
	}
	return true
}

// isSNI compares a server name; a dot at its end does not count.
func (r *rule) isSNI(name string) bool {
	return slices.ContainsFunc(r.of.SNIs, func(sni string) bool {
		return strings.EqualFold(strings.TrimSuffix(sni, "."), strings.TrimSuffix(name, "."))
	})
}

func (h *headerCondition) matches(lines []string) bool {
	for _, line := range lines {
		for _, value := range h.values {
			if equalFold(line, value) {
				return true
			}
		}
		for _, regex := range h.regexs {
			if regex.MatchString(line) {
				return true
			}
		}
	}
	return false
}

// equalFold compares a text with one in lower case, by ASCII alone: for
// strings.EqualFold the Kelvin sign is a k.
func equalFold(text, lower string) bool {
	if len(text) != len(lower) {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
