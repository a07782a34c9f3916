// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"bufio"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddy-gluu/gateway/internal/explain"
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
}

// draft is a policy that is tried out: a scope expression document.
type draft struct {
	Name     string
	Document string
	Problem  string
	Result   *draftResult // nil as long as nothing was asked
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
	return v.show(http.StatusOK, "playground", "Playground", page)
}

// play answers the form. The token is not in the answer.
func play(v *visit) error {
	form := v.r.PostForm
	page := &playground{
		Request: strings.TrimSpace(form.Get("request")), Host: strings.TrimSpace(form.Get("host")), Scopes: form.Get("scopes"),
		Handler: strings.TrimSpace(form.Get("handler")), Asked: true,
	}
	for i, member := range []string{"draft_a", "draft_b"} {
		page.Drafts[i] = draft{Name: draftNames[i], Document: strings.ReplaceAll(form.Get(member), "\r\n", "\n")}
	}
	method, path, err := readRequest(page.Request)
	if err != nil {
		page.Problem = sentence(err.Error())
		return v.show(http.StatusBadRequest, "playground", "Playground", page)
	}
	v.askLive(page, strings.TrimSpace(form.Get("access_token")))
	for i := range page.Drafts {
		page.Drafts[i].decide(method, path, strings.Fields(page.Scopes))
	}
	return v.show(http.StatusOK, "playground", "Playground", page)
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

// readRequest reads "GET /todos", as a client sends it. The path is canonical.
func readRequest(text string) (method, path string, err error) {
	method, target, _ := strings.Cut(text, " ")
	target = strings.TrimSpace(target)
	if method == "" || !strings.HasPrefix(target, "/") || strings.ContainsAny(target, " \r\n") {
		return "", "", errors.New(`write a method and a path, for example "GET /todos"`)
	}
	sent, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n")))
	if err != nil {
		return "", "", errors.New("the gateway would answer 400, because this is not a request that a server reads")
	}
	canonical, err := pathmatch.Canonicalize(sent.URL, pathmatch.Options{})
	if err != nil {
		return "", "", errors.New("the gateway would answer 400: " + err.Error())
	}
	return method, canonical.Decoded, nil
}

// decide has a draft decide about a request with these scopes, as deny_by_default
// true has it.
func (d *draft) decide(method, path string, scopes []string) {
	if strings.TrimSpace(d.Document) == "" {
		return
	}
	document, err := scopeexpr.ParseDocument([]byte(d.Document))
	if err != nil {
		d.Problem = sentence(err.Error())
		return
	}
	policy, err := document.Compile(scopeexpr.Options{})
	if err != nil {
		d.Problem = sentence(err.Error())
		return
	}
	d.Result = decideBy(policy, method, path, scopes)
}

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
