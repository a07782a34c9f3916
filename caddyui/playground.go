// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/internal/replay"
	"github.com/caddy-gluu/gateway/pathmatch"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// playground decides about a request that nobody sends: by the running rules, and
// by up to two policies that are pasted.
type playground struct {
	Request, Host, Scopes string
	Handler               string
	Drafts                [2]draft
	Live                  *explain.Answer
	LiveProblem           string
	Asked                 bool
	Problem               string

	Tests  *policyTests
	Replay *replayed // nil as long as it was not asked for
}

// draft is a policy that is tried out: a scope expression document.
type draft struct {
	Name     string
	Document string
	Problem  string
	Result   *draftResult // nil as long as nothing was asked

	document scopeexpr.Document // nil if there is none, or it cannot be read
	policy   *scopeexpr.Policy  // nil likewise
}

// draftResult is what a draft decides.
type draftResult struct {
	Decision string // one of those of explain
	Reason   string // what the others do not say
	Rule     string
	Captures []pathmatch.Capture
	Data     []scopeexpr.EntryResult
	Tree     *scopeexpr.TreeNode
}

var draftNames = [2]string{"Draft A", "Draft B"}

func showPlayground(v *visit) error {
	query := v.r.URL.Query()
	page := &playground{Request: query.Get("request"), Host: query.Get("host"), Scopes: query.Get("scopes")}
	for i := range page.Drafts {
		page.Drafts[i].Name = draftNames[i]
	}
	return v.showPlaygroundPage(http.StatusOK, page)
}

func (v *visit) showPlaygroundPage(status int, page *playground) error {
	v.completeTests(page)
	return v.show(status, "playground", "Playground", page)
}

// playgroundOf reads the form. The token is not in it.
func (v *visit) playgroundOf() *playground {
	form := v.r.PostForm
	page := &playground{
		Request: strings.TrimSpace(form.Get("request")), Host: strings.TrimSpace(form.Get("host")), Scopes: form.Get("scopes"),
		Handler: strings.TrimSpace(form.Get("handler")), Asked: true,
	}
	for i, member := range []string{"draft_a", "draft_b"} {
		page.Drafts[i] = draft{Name: draftNames[i], Document: strings.ReplaceAll(form.Get(member), "\r\n", "\n")}
		page.Drafts[i].read()
	}
	page.Tests = &policyTests{Case: strings.ReplaceAll(form.Get("case"), "\r\n", "\n"), File: form.Get("test_file")}
	return page
}

// play answers the form.
func play(v *visit) error {
	page := v.playgroundOf()
	if err := page.decide(); err != nil {
		page.Problem = sentence(err.Error())
		return v.showPlaygroundPage(http.StatusBadRequest, page)
	}
	token := strings.TrimSpace(v.r.PostForm.Get("access_token"))
	v.askLive(page, token)
	page.Tests.Case = page.asCase(token != "")
	return v.showPlaygroundPage(http.StatusOK, page)
}

// decide has the drafts decide about the request.
func (page *playground) decide() error {
	method, path, err := replay.Request(page.Request)
	if err != nil {
		return err
	}
	for i := range page.Drafts {
		if d := &page.Drafts[i]; d.policy != nil {
			d.Result = decideBy(d.policy, method, path, strings.Fields(page.Scopes))
		}
	}
	return nil
}

// askLive asks the running configuration.
func (v *visit) askLive(page *playground, token string) {
	question := explain.Question{Token: token, Request: page.Request, Host: page.Host}
	var err error
	if page.Handler != "" {
		if question.Handler, err = strconv.Atoi(page.Handler); err != nil || question.Handler < 1 {
			page.LiveProblem = "The handler is a number, counting from 1."
			return
		}
	}
	if page.Live, err = v.app.Explain(v.r.Context(), question); err != nil {
		page.LiveProblem = sentence(err.Error())
	}
}

// read compiles a draft.
func (d *draft) read() {
	if strings.TrimSpace(d.Document) == "" {
		return
	}
	document, err := scopeexpr.ParseDocument([]byte(d.Document))
	if err == nil {
		d.policy, err = document.Compile(scopeexpr.Options{})
	}
	if err != nil {
		d.Problem = sentence(err.Error())
		return
	}
	d.document = document
}

// decideBy decides about a request with these scopes, as deny_by_default true has it.
func decideBy(policy *scopeexpr.Policy, method, path string, scopes []string) *draftResult {
	r := &draftResult{Decision: explain.Deny}
	if err := policy.CheckMethod(method); err != nil {
		r.Decision, r.Reason = explain.BadRequest, sentence(err.Error())
		return r
	}
	rule, err := policy.Lookup(method, path)
	switch {
	case err != nil:
		r.Reason = sentence(err.Error())
		return r
	case rule == nil:
		r.Reason = "No rule covers this path and method."
		return r
	}
	x := rule.Explain(path, scopes)
	r.Rule, r.Captures, r.Data, r.Tree, r.Reason = rule.Pattern(), x.Captures, x.Data, x.Tree, x.Failed
	if x.Granted {
		r.Decision = explain.Allow
	}
	switch rule.Access() {
	case scopeexpr.Public:
		r.Reason = "The rule is public: no token is needed."
	case scopeexpr.Authenticated:
		r.Reason = "Any verified token may pass."
	case scopeexpr.Permitted:
		r.Reason = "Any permission for the resource suffices."
	}
	return r
}
