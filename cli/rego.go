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

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/caddy-gluu/gateway/internal/policytool"
)

// Policies in Rego are asked by the same commands as scope expressions.

// isRego reports whether a policy is one or several files of Open Policy Agent.
func isRego(policy string) bool {
	return strings.HasSuffix(policy, ".rego") || strings.ContainsAny(policy, "*?[")
}

// regoFlags are the flags of explain for policies in Rego.
type regoFlags struct {
	decision, claims, consumer string
	why                        bool
}

func (f *regoFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.decision, "decision", "", "Package or rule of a policy in Rego that decides; httpapi/authz if left out")
	cmd.Flags().StringVar(&f.claims, "claims", "", "File with the claims of the token as a JSON object, for a policy in Rego")
	cmd.Flags().StringVar(&f.consumer, "consumer", "", "Username of the consumer that is calling, for a policy in Rego")
	cmd.Flags().BoolVar(&f.why, "why", false, "Show the expressions of a policy in Rego that failed")
	_ = cmd.MarkFlagFilename("claims", "json")
}

// check refuses the flags for another kind of policy.
func (f *regoFlags) check(policy string) error {
	if *f != (regoFlags{}) {
		return fmt.Errorf("--decision, --claims, --consumer and --why are for policies in Rego, and %q is not one", policy)
	}
	return nil
}

// checkRunning refuses the flags that a running gateway does not need.
func (f *regoFlags) checkRunning() error {
	if f.decision != "" || f.claims != "" || f.consumer != "" {
		return errors.New("--decision, --claims and --consumer are for --policy: a running gateway knows the decision, and whose the token is")
	}
	return nil
}

// explain decides a request by a policy in Rego.
func (f *regoFlags) explain(out io.Writer, policy policytool.Policy, requestText string, c caller, asJSON bool) (code int, err error) {
	q := policytool.Question{Decision: f.decision, Request: requestText, NoToken: c.noToken, Scopes: c.scopes, Consumer: f.consumer, Why: f.why}
	if f.claims != "" {
		if q.Claims, err = os.ReadFile(f.claims); err != nil {
			return exitError, err
		}
	}
	a, err := policy.Ask(q)
	if err != nil {
		return exitError, err
	}
	if asJSON {
		err = writeLine(out, a)
	} else {
		printRego(newPainter(out), q, a)
	}
	if err == nil && a.Decision != allow {
		return exitNo, nil
	}
	return exitYes, err
}

func loadRego(pattern string) (policytool.Policy, error) {
	found, err := policytool.Find()
	if err != nil {
		return nil, err
	}
	return found.Load(pattern)
}

func printRego(p *painter, q policytool.Question, a *policytool.Answer) {
	p.line("%s %s", p.faint("request   "), printable(q.Request))
	if a.Operation != "" {
		p.line("%s %s", p.faint("operation "), printable(a.Operation))
	}
	p.line("%s %s", p.faint("result    "), printable(string(a.Result)))
	printFailed(p, a.Why)
	colour := p.bad
	if a.Decision == allow {
		colour = p.good
	}
	p.line("\n%s %s", p.faint("decision  "), p.bold(colour(a.Decision)))
	if a.Reason != "" {
		p.line("           %s", printable(a.Reason))
	}
}

// printFailed prints the expressions that failed.
func printFailed(p *painter, expressions []string) {
	label := "failed"
	for _, expression := range expressions {
		p.line("%s %s", p.faint(fmt.Sprintf("%-10s", label)), printable(expression))
		label = ""
	}
}

// runRego runs the cases of a suite whose policy is in Rego.
func (s *suite) runRego(file string, results []TestResult) ([]TestResult, error) {
	if s.Handler != 0 || s.UMA || s.AmbiguousPaths != "" || s.EncodedSlashes != "" || s.DenyByDefault != nil {
		return nil, errors.New("handler, uma, ambiguous_paths, encoded_slashes and deny_by_default are not for a policy in Rego; leave them out")
	}
	name := s.Policy
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(file), name)
	}
	policy, loadErr := loadRego(name)
	if errors.Is(loadErr, policytool.ErrNone) {
		return nil, loadErr
	}
	return s.runRegoCases(file, policy, loadErr, results)
}

// runRegoCases runs the cases of a suite by a policy in Rego. If it does not load,
// why is the error.
func (s *suite) runRegoCases(file string, policy policytool.Policy, why error, results []TestResult) ([]TestResult, error) {
	for i := range s.Tests {
		r, err := s.Tests[i].runRego(policy, s.Decision, why)
		r.File, r.Index = file, len(results)+1
		if err != nil {
			return nil, fmt.Errorf("test %d: %w", r.Index, err)
		}
		results = append(results, r)
	}
	return results, nil
}

// runRego decides a case. If the policy does not load, why is the error.
func (c *testCase) runRego(policy policytool.Policy, decision string, why error) (TestResult, error) {
	r := TestResult{Request: c.Request, Want: c.Want, Captures: []*string{}, Name: c.Name}
	if !slices.Contains([]string{allow, deny, unprotected, badRequest, refused}, c.Want) {
		return r, fmt.Errorf("want must be one of allow, deny, unprotected, bad_request, refused for a policy in Rego, not %q", c.Want)
	}
	if !c.Rule.IsZero() || !c.Captures.IsZero() {
		return r, errors.New("rule and captures are for scope expressions; leave them out for a policy in Rego")
	}
	q, err := c.question(decision)
	if err != nil {
		return r, err
	}
	r.Scopes = q.Scopes
	switch {
	case why != nil:
		r.Got, r.Reason, r.Pass = refused, why.Error(), c.Want == refused
		return r, nil
	case c.Request == "" && c.Want == refused:
		r.Got, r.Reason = loads, "the policy loads"
		return r, nil
	}
	a, err := policy.Ask(q)
	if err != nil {
		return r, err
	}
	if r.Got = a.Decision; r.Got == c.Want {
		r.Pass = true
		return r, nil
	}
	r.Reason = strings.TrimSpace(fmt.Sprintf("the result is %s %s", a.Result, a.Reason))
	return r, nil
}

// question is what a case asks.
func (c *testCase) question(decision string) (q policytool.Question, err error) {
	q = policytool.Question{Decision: decision, Request: c.Request, NoToken: c.NoToken, Consumer: c.Consumer}
	if c.NoToken && (!c.Scopes.IsZero() || !c.Claims.IsZero()) {
		return q, errors.New("a case has scopes or claims, or no_token: a caller without a token has neither")
	}
	if c.Request == "" && c.Want != refused {
		return q, fmt.Errorf("a case that wants %q needs a request", c.Want)
	}
	if q.Scopes, err = c.scopes(); err != nil {
		return q, err
	}
	if c.Claims.IsZero() {
		return q, nil
	}
	if c.Claims.Kind != yaml.MappingNode {
		return q, fmt.Errorf("line %d: claims are an object, such as {sub: ann}", c.Claims.Line)
	}
	var text bytes.Buffer
	if err := writeJSON(&text, &c.Claims, 0); err != nil {
		return q, fmt.Errorf("claims: %w", err)
	}
	q.Claims = text.Bytes()
	return q, nil
}

// checkScopeCase refuses members of a case that only policies in Rego have.
func (c *testCase) checkScopeCase() error {
	if !c.Claims.IsZero() || c.Consumer != "" {
		return errors.New("claims and consumer are for policies in Rego; scope expressions decide by scopes")
	}
	return nil
}

// runRegoTests runs OPA's own tests in files of policies, and returns how many passed
// and failed.
func runRegoTests(out io.Writer, files []string, asJSON, verbose bool) (passed, failed int, err error) {
	found, err := policytool.Find()
	if err != nil {
		return 0, 0, err
	}
	tests, err := found.Test(files)
	if err != nil {
		return 0, 0, err
	}
	if len(tests) == 0 {
		return 0, 0, fmt.Errorf("%s: no rule is a test: their names begin with test_", strings.Join(files, ", "))
	}
	p := newPainter(out)
	for i, t := range tests {
		if t.Passed {
			passed++
		} else if !t.Skipped {
			failed++
		}
		switch {
		case asJSON:
			r := TestResult{File: t.File, Index: i + 1, Request: t.Name, Want: allow, Got: outcomeOf(t), Captures: []*string{}, Pass: t.Passed || t.Skipped, Reason: t.Error}
			err = writeLine(out, &r)
		case t.Skipped:
			p.line("%s %s:%d: %s", p.warn("skip"), t.File, t.Line, t.Name)
		case !t.Passed:
			p.line("%s %s:%d: %s", p.bad("FAIL"), t.File, t.Line, t.Name)
			if t.Error != "" {
				p.line("     %s", printable(t.Error))
			}
		case verbose:
			p.line("%s %s:%d: %s", p.good("ok  "), t.File, t.Line, t.Name)
		}
		if err != nil {
			return passed, failed, err
		}
	}
	return passed, failed, nil
}

func outcomeOf(t policytool.TestResult) string {
	switch {
	case t.Skipped:
		return "skipped"
	case t.Passed:
		return allow
	}
	return deny
}

// splitTests tells the test files of the gateway from those of OPA.
func splitTests(files []string) (ours, rego []string) {
	for _, file := range files {
		if strings.HasSuffix(file, ".rego") || strings.HasSuffix(file, ".json") {
			rego = append(rego, file)
			continue
		}
		ours = append(ours, file)
	}
	return ours, rego
}
