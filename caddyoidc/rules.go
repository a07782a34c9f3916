// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/strictjson"
	"github.com/caddy-gluu/gateway/pathmatch"
)

// PathRule says how people must have logged in to use a path.
type PathRule struct {
	// A pattern of paths, such as `/payments/??`, as in `gluu_oauth_pep`.
	Path string `json:"path"`

	// What each method asks for. No method may stand in two conditions of one
	// path.
	Conditions []Condition `json:"conditions"`
}

// Condition is what one or more methods of a path ask for. A condition that
// names neither `required_acrs` nor `no_auth` asks for a login of any kind.
type Condition struct {
	// The methods, in upper case; `?` stands for every method that the path
	// does not name otherwise. GET covers HEAD.
	HTTPMethods []string `json:"httpMethods"`

	// The authentication contexts of which the login must have one, the
	// preferred one first. A person with a weaker login is sent to the OpenID
	// Provider to step up.
	RequiredACRs []string `json:"required_acrs,omitempty"`

	// How many seconds ago the person may have authenticated. Default: as long
	// as `max_id_token_auth_age` says.
	MaxAge int64 `json:"max_age,omitempty"`

	// No login is needed. A person who is logged in is known all the same.
	// Default: false.
	NoAuth bool `json:"no_auth,omitempty"`
}

// requirement is what a request asks of the session. The zero requirement is a
// login of any kind.
type requirement struct {
	acrs   []string
	maxAge int64 // in seconds, 0: no bound of its own
	noAuth bool
}

// rules are the requirements by path and method.
type rules struct {
	tree pathmatch.Tree[*requirement]
}

var (
	anyLogin = new(requirement)
	noLogin  = &requirement{noAuth: true}
)

// find returns what a request asks for. What no rule names asks for a login of
// any kind. The error says that an expression ran out of time: which rule is
// the right one is unknown then, and the request must be refused.
func (r *rules) find(method, path string) (*requirement, error) {
	if r == nil {
		return anyLogin, nil
	}
	found, pattern, ok := r.tree.Match(method, path)
	switch {
	case ok:
		return found, nil
	case pattern != nil:
		return nil, fmt.Errorf("%w: %s", pathmatch.ErrRegexpTimeout, pattern)
	}
	return anyLogin, nil
}

// parseRules reads a document: a list, or a string that holds one.
func parseRules(document []byte) ([]PathRule, error) {
	document = bytes.TrimSpace(document)
	if len(document) > 0 && document[0] == '"' {
		var text string
		if err := json.Unmarshal(document, &text); err != nil {
			return nil, err
		}
		document = bytes.TrimSpace([]byte(text))
	}
	for _, rule := range jsonList(document) {
		if _, err := strictjson.Object([]byte(rule)); err != nil && !errors.Is(err, strictjson.ErrNotObject) {
			return nil, fmt.Errorf("%w; name each member once", err)
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	var parsed []PathRule
	if err := decoder.Decode(&parsed); err != nil {
		return nil, fmt.Errorf(`%w; write [{"path": "/pay/??", "conditions": [{"httpMethods": ["?"], "required_acrs": ["gold"]}]}]`, err)
	}
	if decoder.More() {
		return nil, errors.New("there is more after the end of the list; write one list with all paths")
	}
	return parsed, nil
}

// jsonList returns the elements of a list, none if the document is not one.
func jsonList(document []byte) []string {
	if !json.Valid(document) || document[0] != '[' {
		return nil
	}
	return strictjson.Elements(string(document))
}

// compileRules checks what a document means. At which element an error is,
// *ruleError says.
func compileRules(document []PathRule) (*rules, error) {
	if len(document) == 0 {
		return nil, errors.New(`the document has no paths; write [{"path": ..., "conditions": [...]}] or leave the option out`)
	}
	compiled := new(rules)
	var patterns pathmatch.Parser
	for i, rule := range document {
		if slices.ContainsFunc(document[:i], func(other PathRule) bool { return other.Path == rule.Path }) {
			return nil, &ruleError{i, -1, fmt.Errorf("path %q has rules already; put the conditions together", rule.Path)}
		}
		pattern, err := patterns.Parse(rule.Path)
		if err != nil {
			return nil, &ruleError{i, -1, err}
		}
		if len(rule.Conditions) == 0 {
			return nil, &ruleError{i, -1, fmt.Errorf("path %q has no conditions; write '<method> acr <value>', '<method> login' or '<method> no_auth'", rule.Path)}
		}
		for j, condition := range rule.Conditions {
			if err := compiled.add(pattern, condition); err != nil {
				return nil, &ruleError{i, j, fmt.Errorf("path %q: %w", rule.Path, err)}
			}
		}
	}
	return compiled, nil
}

// ruleError is what is wrong with an element of a document.
type ruleError struct {
	rule, condition int // condition is -1 where the path itself is wrong
	err             error
}

func (e *ruleError) Error() string { return e.err.Error() }
func (e *ruleError) Unwrap() error { return e.err }

func (r *rules) add(pattern *pathmatch.Pattern, condition Condition) error {
	if err := condition.check(); err != nil {
		return err
	}
	required := &requirement{acrs: condition.RequiredACRs, maxAge: condition.MaxAge, noAuth: condition.NoAuth}
	for _, method := range condition.HTTPMethods {
		if err := r.tree.Add(pattern, method, required); err != nil {
			return fmt.Errorf("method %s is in two conditions; keep one", method)
		}
	}
	return nil
}

func (c *Condition) check() error {
	if len(c.HTTPMethods) == 0 {
		return errors.New(`a condition names methods; write "GET", or "?" for any method`)
	}
	for _, method := range c.HTTPMethods {
		if method != pathmatch.Any && !isMethod(method) {
			return fmt.Errorf("%q is not a method; write it in upper case, several of them separately, or ? for any", method)
		}
	}
	for _, acr := range c.RequiredACRs {
		if acr == "" || strings.ContainsFunc(acr, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return fmt.Errorf("acr %q is not an authentication context; it is made of printable ASCII without spaces and quotes", acr)
		}
	}
	switch {
	case c.NoAuth && (len(c.RequiredACRs) > 0 || c.MaxAge != 0):
		return errors.New("no_auth excludes acr and max_age; remove one of them")
	case c.MaxAge < 0:
		return fmt.Errorf("max_age is a number of seconds, at least 1, not %d", c.MaxAge)
	}
	return nil
}

// isMethod reports whether a text is a method in upper case. Lower-case
// methods exist in theory and are a way around rules in practice.
func isMethod(method string) bool {
	if method == "" || method == http.MethodConnect {
		return false
	}
	return !strings.ContainsFunc(method, func(r rune) bool { return (r < 'A' || r > 'Z') && r != '-' && r != '_' })
}

// literal returns the pattern that is exactly this path and lets it pass
// without a login.
func (r *rules) literal(path string) (pattern string, ok bool) {
	r.tree.Walk(func(p *pathmatch.Pattern, _ string, required *requirement) bool {
		if required.noAuth && p.String() == path {
			pattern, ok = path, true
		}
		return !ok
	})
	return pattern, ok
}

// compileRules compiles the rules of the configuration, nil if there are none.
func (c *Config) compileRules() (*rules, error) {
	document, option := []byte(c.RequiredACRsExpression), "required_acrs_expression"
	if c.RequiredACRsExpressionFile != "" {
		option += "_file"
		name, err := directive.Resolve(c.RequiredACRsExpressionFile)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", option, err)
		}
		if document, err = os.ReadFile(name); err != nil {
			return nil, fmt.Errorf("%s: %w", option, err)
		}
	} else if len(document) == 0 {
		return nil, nil
	}
	parsed, err := parseRules(document)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	compiled, err := compileRules(parsed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	return compiled, nil
}
