// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/caddy-gluu/gateway/pathmatch"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// A suite is one YAML document of a test file: a policy and its test cases.
type suite struct {
	sourceFlags `yaml:",inline"`

	ScopeExpression yaml.Node  `yaml:"scope_expression"`
	Decision        string     `yaml:"decision"` // of a policy in Rego
	Tests           []testCase `yaml:"tests"`

	draft scopeexpr.Document // decides in place of the policy, nil for none
}

// A testCase is a request and the expected result. Members that are left out are
// not checked.
type testCase struct {
	Name     string    `yaml:"name"`
	Request  string    `yaml:"request"`
	Scopes   yaml.Node `yaml:"scopes"`
	NoToken  bool      `yaml:"no_token"`
	Claims   yaml.Node `yaml:"claims"`   // for a policy in Rego
	Consumer string    `yaml:"consumer"` // for a policy in Rego
	Want     string    `yaml:"want"`
	Rule     yaml.Node `yaml:"rule"`
	Captures yaml.Node `yaml:"captures"`
}

// verdicts are the values of want.
var verdicts = []string{allow, deny, unprotected, badRequest, refused}

// A TestResult is the result of a case, as test --json prints it.
type TestResult struct {
	File     string        `json:"file"`
	Index    int           `json:"index"`
	Request  string        `json:"request"`
	Want     string        `json:"want"`
	Got      string        `json:"got"`
	Rule     *string       `json:"rule"`
	Captures []*string     `json:"captures"`
	Pass     bool          `json:"pass"`
	Reason   string        `json:"reason"`
	Resource *resourceJSON `json:"resource,omitempty"`
	Ticket   []string      `json:"ticket,omitempty"`

	// ObtainRPT says that the gateway redeems the ticket for people.
	ObtainRPT bool `json:"obtain_rpt,omitempty"`

	Name   string   `json:"-"`
	Scopes []string `json:"-"`
}

// loads is the result of a case that wants refused if the policy loads.
const loads = "loads"

// RunTestFile runs the cases of a test file, as `caddy gluu test` does. It fails only
// if the file is invalid. With a draft, that decides in place of the policies that the
// file names, with their options; cases of a policy in Rego then have no Got.
func RunTestFile(file string, draft scopeexpr.Document) ([]TestResult, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, unreadable("test", file, err)
	}
	return runText(file, text, draft)
}

// runText does the same for the text of a file.
func runText(file string, text []byte, draft scopeexpr.Document) (results []TestResult, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	for {
		s := suite{draft: draft}
		err := decoder.Decode(&s)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w%s", file, err, yamlHint(text, err))
		}
		results, err = s.run(file, results)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	if len(results) == 0 {
		return nil, fmt.Errorf("%s: this file has no tests: add a list named tests", file)
	}
	return results, nil
}

// yamlHint explains the usual cause of a syntax error: to YAML, a plain ? at the end
// of a value may be the start of a key.
func yamlHint(text []byte, err error) string {
	syntax := strings.Contains(err.Error(), "did not find expected") || strings.Contains(err.Error(), "mapping keys are not allowed")
	if !syntax || !bytes.Contains(text, []byte("?")) {
		return ""
	}
	return `; if a value contains a ?, put it in quotes, such as rule: "/todos/?"`
}

// run appends the results of the suite's cases.
func (s *suite) run(file string, results []TestResult) ([]TestResult, error) {
	if len(s.Tests) > 0 && isRego(s.Policy) {
		if s.draft != nil {
			return s.leaveOut(file, results), nil
		}
		return s.runRego(file, results)
	}
	policy, loadErr := s.load(file)
	if s.draft != nil {
		if _, isRegoToo := errors.AsType[regoRefusedError](loadErr); isRegoToo || policy != nil && policy.isRego {
			return s.leaveOut(file, results), nil
		}
		policy, loadErr = s.drafted(policy)
	}
	if loadErr != nil && !isRefused(loadErr) {
		return nil, loadErr
	}
	if len(s.Tests) == 0 {
		return nil, errors.New("a document has no tests; add a list named tests")
	}
	if policy != nil && policy.isRego {
		return s.runRegoCases(file, policy.rego, nil, results)
	}
	if _, ok := errors.AsType[regoRefusedError](loadErr); ok {
		return s.runRegoCases(file, nil, loadErr, results)
	}
	if s.Decision != "" {
		return nil, errors.New("decision is for a policy in Rego; leave it out")
	}
	for i := range s.Tests {
		r, err := s.Tests[i].run(policy, loadErr)
		r.File, r.Index = file, len(results)+1
		if err != nil {
			return nil, fmt.Errorf("test %d: %w", r.Index, err)
		}
		results = append(results, r)
	}
	return results, nil
}

// drafted puts the draft in the place of a policy, which keeps its options. A policy
// that does not load has those of the suite.
func (s *suite) drafted(policy *source) (*source, error) {
	of := source{denyByDefault: true, uma: s.UMA}
	if policy != nil {
		of = *policy
	} else {
		s.override(&of)
	}
	var err error
	if of.policy, err = s.draft.Compile(scopeexpr.Options{UMA: of.uma}); err != nil {
		return nil, refusedError{err}
	}
	of.name, of.api = "the draft", nil
	return &of, nil
}

// leaveOut appends the cases without running them: a draft of scope expressions cannot
// decide for a policy in Rego.
func (s *suite) leaveOut(file string, results []TestResult) []TestResult {
	for i := range s.Tests {
		c := &s.Tests[i]
		results = append(results, TestResult{File: file, Index: len(results) + 1, Request: c.Request, Want: c.Want, Captures: []*string{}, Name: c.Name, Reason: "the policy is in Rego"})
	}
	return results
}

// load compiles the policy of a suite. If the policy does not load, the error is a
// refusedError.
func (s *suite) load(file string) (*source, error) {
	inline := !s.ScopeExpression.IsZero()
	if inline == (s.Policy != "" || s.OpenAPI != "") {
		return nil, errors.New("a document needs either policy or openapi (a file name) or scope_expression (inline)")
	}
	if !inline {
		return s.one(filepath.Dir(file))
	}
	if s.Handler != 0 {
		return nil, errors.New("handler is only for a policy that is a configuration; leave it out")
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	policy := inlineSource("scope_expression", &s.ScopeExpression, s.UMA)
	if policy.refused != nil {
		return nil, refusedError{policy.refused}
	}
	s.override(policy)
	return policy, nil
}

// check refuses a case that cannot be right, and returns its scopes.
func (c *testCase) check() (scopes []string, err error) {
	if !slices.Contains(verdicts, c.Want) {
		return nil, fmt.Errorf("want must be one of %s, not %q", strings.Join(verdicts, ", "), c.Want)
	}
	if scopes, err = c.scopes(); err != nil {
		return nil, err
	}
	switch {
	case c.NoToken && !c.Scopes.IsZero():
		return nil, errors.New("a case has scopes or no_token, not both: a caller without a token has no scopes")
	case c.Request == "" && c.Want != refused:
		return nil, fmt.Errorf("a case that wants %q needs a request", c.Want)
	case c.Request != "":
		if _, err := parseRequest(c.Request, pathmatch.Options{}); err != nil {
			return nil, err
		}
	}
	if _, err := scalars(&c.Captures); err != nil {
		return nil, fmt.Errorf("captures: %w", err)
	}
	return scopes, nil
}

// run decides a case. If the policy did not load it is nil, and why is the error.
func (c *testCase) run(policy *source, why error) (TestResult, error) {
	r := TestResult{Request: c.Request, Want: c.Want, Captures: []*string{}, Name: c.Name}
	if err := c.checkScopeCase(); err != nil {
		return r, err
	}
	scopes, err := c.check()
	if err != nil {
		return r, err
	}
	r.Scopes = scopes
	if policy == nil {
		r.Got, r.Reason = refused, why.Error()
		r.Pass = c.Want == refused
		return r, nil
	}
	if c.Request == "" {
		r.Got, r.Reason = loads, "the policy loads"
		return r, nil
	}
	request, err := parseRequest(c.Request, policy.paths())
	if err != nil {
		return r, err
	}
	err = c.compare(&r, policy.decide(request, caller{scopes, c.NoToken}))
	return r, err
}

// compare fills in the decision, and whether it is the expected one.
func (c *testCase) compare(r *TestResult, d *decision) error {
	r.Request, r.Got, r.Rule, r.Captures = d.request.String(), d.what, d.rulePattern(), d.captures()
	if r.Resource = d.resource(); r.Resource != nil && d.what == deny {
		r.Ticket, r.ObtainRPT = r.Resource.Scopes, d.source.obtainsRPT
	}
	var wrong []string
	if r.Got != c.Want {
		wrong = append(wrong, d.because())
	}
	if !c.Rule.IsZero() {
		if want := scalar(&c.Rule); !equal(want, r.Rule) {
			wrong = append(wrong, fmt.Sprintf("rule: want %s, got %s", show(want), show(r.Rule)))
		}
	}
	if !c.Captures.IsZero() {
		want, err := scalars(&c.Captures)
		if err != nil {
			return fmt.Errorf("captures: %w", err)
		}
		if !slices.EqualFunc(want, r.Captures, equal) {
			wrong = append(wrong, fmt.Sprintf("captures: want %s, got %s", showAll(want), showAll(r.Captures)))
		}
	}
	r.Pass = len(wrong) == 0
	r.Reason = strings.Join(wrong, "; ")
	return nil
}

// because gives the reason for a decision on one line.
func (d *decision) because() string {
	switch {
	case d.reason != "":
		return d.reason
	case d.what == allow:
		return fmt.Sprintf("%s %s allows these scopes", d.rule.Method(), d.rule.Pattern())
	}
	var missing []string
	for _, e := range d.explanation.Data {
		switch {
		case e.Used && !e.Matched && e.Note != "":
			missing = append(missing, fmt.Sprintf("%s (%s)", e.Entry, e.Note))
		case e.Used && !e.Matched:
			missing = append(missing, e.Entry)
		}
	}
	text := fmt.Sprintf("%s %s does not allow these scopes", d.rule.Method(), d.rule.Pattern())
	if len(missing) > 0 {
		text += "; no scope satisfies " + strings.Join(missing, ", ")
	}
	return text
}

// scopes returns the scopes of a case: a list, or a space-separated string.
func (c *testCase) scopes() ([]string, error) {
	if c.Scopes.Kind == yaml.ScalarNode && c.Scopes.Tag != "!!null" {
		return splitScopes(c.Scopes.Value), nil
	}
	values, err := scalars(&c.Scopes)
	if err != nil {
		return nil, fmt.Errorf("scopes: %w", err)
	}
	scopes := []string{}
	for _, v := range values {
		if v == nil {
			return nil, errors.New("scopes: an element is empty; remove it or write a scope")
		}
		scopes = append(scopes, *v)
	}
	return scopes, nil
}

// scalar returns a scalar as written (123 is the text 123), and nil for null.
func scalar(n *yaml.Node) *string {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return nil
	}
	return &n.Value
}

func scalars(n *yaml.Node) ([]*string, error) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.IsZero() || n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil, nil
	}
	if n.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("line %d: this must be a list", n.Line)
	}
	values := make([]*string, len(n.Content))
	for i, element := range n.Content {
		if element.Kind != yaml.ScalarNode && element.Kind != yaml.AliasNode {
			return nil, fmt.Errorf("line %d: this must be text", element.Line)
		}
		values[i] = scalar(element)
	}
	return values, nil
}

func equal(a, b *string) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

func show(s *string) string {
	if s == nil {
		return "none"
	}
	return *s
}

func showAll(values []*string) string {
	texts := make([]string, len(values))
	for i, v := range values {
		if texts[i] = "~"; v != nil {
			texts[i] = fmt.Sprintf("%q", *v)
		}
	}
	return "[" + strings.Join(texts, ", ") + "]"
}
