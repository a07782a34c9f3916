// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/linediff"
	"github.com/caddy-gluu/gateway/internal/liveconfig"
	"github.com/caddy-gluu/gateway/internal/routemap"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// rulesPage is the form for the rules of a handler, and what becomes of a change.
type rulesPage struct {
	Pointer, Handler string
	Site             *routemap.Site
	Base             string // id of the rules that the form changes
	Rows             []ruleField
	Problem          string
	CanLoad          bool
	File             string // that the gateway was started with, if it is edited instead

	IsReview bool
	IsLate   bool
	Others   []linediff.Line
	Diff     []linediff.Line
	Impact   *impact
	JSON     string
	Lines    string // for a Caddyfile, "" if the rules cannot be written there
	Commands []command
}

// ruleField is a line of the form: a condition of a path.
type ruleField struct {
	From                    string // which condition it was, "" for a new one
	Path, Methods, Requires string
	IsFixed                 bool   // what it requires has no short form, and stays
	Also                    string // what the form does not change
}

// Bounds of the form.
const (
	maxFormRules = 200
	newRules     = 3
)

// ruleMembers are the members with the rules, by handler.
var ruleMembers = map[string]string{"gluu_oauth_pep": "oauth_scope_expression", "gluu_uma_pep": "uma_scope_expression"}

// ruleHandler is a handler of the running configuration with rules of its own.
type ruleHandler struct {
	*routemap.Handler
	site    *routemap.Site
	from    *source
	config  any // the whole configuration
	members map[string]any
	rules   scopeexpr.Document
}

// ruleHandlerAt finds a handler in the configuration that runs. The pointer of a
// browser is only compared.
func (v *visit) ruleHandlerAt(pointer string) (*ruleHandler, error) {
	found, err := v.app.Routes()
	if err != nil {
		return nil, &fault{Status: http.StatusServiceUnavailable, Title: "Rules", Text: sentence(err.Error())}
	}
	h := &ruleHandler{Handler: found.Handler(pointer), site: found.Site(pointer)}
	if h.Handler == nil || ruleMembers[h.Name] == "" {
		return nil, &fault{Status: http.StatusNotFound, Title: "No such rules", Text: "The running configuration has no handler with rules there. It may have been changed: look at the routes again."}
	}
	running, err := v.config.readRunning(v.r.Context())
	if err != nil {
		return nil, &fault{Status: http.StatusBadGateway, Title: "Rules", Text: sentence(err.Error())}
	}
	text, err := indented(running.JSON)
	if err != nil {
		return nil, err
	}
	h.from = &source{text, running}
	if err := decode(running.JSON, &h.config); err != nil {
		return nil, err
	}
	h.members, _ = memberAt(h.config, h.Pointer).(map[string]any)
	if h.members["handler"] != h.Name {
		return nil, &fault{Status: http.StatusConflict, Title: "Rules", Text: "The handler is elsewhere in the configuration that runs now. Look at the routes again."}
	}
	h.rules, err = rulesIn(h.members[ruleMembers[h.Name]])
	if err != nil {
		return nil, unfit(err)
	}
	return h, nil
}

// memberAt follows a pointer whose names have no slash.
func memberAt(value any, pointer string) any {
	for name := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// rulesIn reads the rules of a handler: a document, or a text that has one.
func rulesIn(value any) (scopeexpr.Document, error) {
	switch v := value.(type) {
	case nil:
		return nil, errors.New("the rules of this handler are not in the configuration but in a file or an OpenAPI document: change them there")
	case string:
		return scopeexpr.ParseDocument([]byte(v))
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return scopeexpr.ParseDocument(text)
}

func (h *ruleHandler) options() scopeexpr.Options {
	return scopeexpr.Options{UMA: h.Name == "gluu_uma_pep"}
}

func showRules(v *visit) error {
	h, err := v.ruleHandlerAt(v.r.URL.Query().Get("at"))
	if err != nil {
		return err
	}
	page := v.rulesPageOf(h)
	page.Rows = append(rowsOf(h.rules), make([]ruleField, newRules)...)
	if len(page.Rows) > maxFormRules {
		return &fault{Status: http.StatusConflict, Title: "Too many rules", Text: fmt.Sprintf("The form takes %d rules. Change these on the page Configuration, or on the admin API.", maxFormRules)}
	}
	return v.showRulesPage(http.StatusOK, page)
}

func (v *visit) rulesPageOf(h *ruleHandler) *rulesPage {
	before := linesOf(h.rules)
	seen.Add(before)
	return &rulesPage{
		Pointer: h.Pointer, Handler: h.Name, Site: h.site, Base: liveconfig.IDOf(before), File: v.config.file,
		CanLoad: v.visitor.role >= admin && v.mayEdit("policies") && v.config.file == "",
	}
}

func (v *visit) showRulesPage(status int, page *rulesPage) error {
	return v.show(status, "rules", "Rules of "+page.Handler, page)
}

// reviewRules shows what a change would do. Nothing is loaded.
func reviewRules(v *visit) error { return v.changeRules(false) }

// loadRules runs changed rules on trial.
func loadRules(v *visit) error { return v.changeRules(true) }

func (v *visit) changeRules(load bool) error {
	form := v.r.PostForm
	h, err := v.ruleHandlerAt(form.Get("at"))
	if err != nil {
		return err
	}
	page := v.rulesPageOf(h)
	page.Rows = rowsOfForm(form)
	changed, err := h.changedBy(page.Rows)
	if err == nil {
		_, err = changed.Compile(h.options())
	}
	if err != nil {
		page.Problem = sentence(err.Error())
		return v.showRulesPage(http.StatusBadRequest, page)
	}
	page.Diff = linediff.Compare(linesOf(h.rules), linesOf(changed), linesAround)
	isLate := form.Get("base") != page.Base
	switch {
	case len(page.Diff) == 0:
		v.redirect("./rules?" + url.Values{"at": {h.Pointer}, "done": {"config-same"}}.Encode())
		return nil
	case isLate || !load:
		return v.showRulesReview(page, h, changed, isLate, form.Get("base"))
	case !page.CanLoad:
		return unfit(errors.New("the gateway runs a Caddyfile that is edited on the page Configuration: write the lines there"))
	}
	return v.loadChangedRules(page, h, changed)
}

// showRulesReview shows a change. One of rules that others have changed since is late.
func (v *visit) showRulesReview(page *rulesPage, h *ruleHandler, changed scopeexpr.Document, isLate bool, base string) error {
	page.IsReview, page.IsLate = true, isLate
	if former, ok := seen.Find(base); ok && isLate {
		page.Others = linediff.Compare(former, linesOf(h.rules), linesAround)
	}
	if isLate {
		page.Rows = rowsOf(changed) // what they were is another one now
	}
	text, err := documentText(changed)
	if err != nil {
		return err
	}
	page.JSON, page.Lines, page.Commands = text, caddyfileOf(h, changed), commandsForRules(h)
	page.Impact = impactOf(h, changed, v.app.EachToken)
	status := http.StatusOK
	if isLate {
		status = http.StatusPreconditionFailed
	}
	return v.showRulesPage(status, page)
}

// loadChangedRules replaces the rules at their place, if the whole configuration is
// still the one that was read, so that the former one can return.
func (v *visit) loadChangedRules(page *rulesPage, h *ruleHandler, changed scopeexpr.Document) error {
	text, err := json.Marshal(changed)
	if err != nil {
		return err
	}
	var value any
	if err := decode(text, &value); err != nil {
		return err
	}
	h.members[ruleMembers[h.Name]] = value
	handler, err := json.Marshal(h.members)
	if err != nil {
		return err
	}
	config, err := json.Marshal(h.config) // h.members is part of it
	if err != nil {
		return err
	}
	if err := v.config.check(h.from.running.JSON, config); err != nil {
		return unfit(err)
	}
	whole, err := indented(config)
	if err != nil {
		return err
	}
	shown, err := v.config.show(h.from.text)
	if err != nil {
		return err
	}
	c := &change{by: v.visitor.name, note: "rules of " + h.Name, text: whole, config: config, shown: shown, place: h.Pointer, value: handler, onReturn: returned}
	return v.loadRulesOnTrial(page, h, c)
}

func (v *visit) loadRulesOnTrial(page *rulesPage, h *ruleHandler, c *change) error {
	v.noteVersion(h.from.text)
	err := v.config.load(v.r.Context(), h.from, c)
	_, isRefused := errors.AsType[*liveconfig.RefusedError](err)
	switch {
	case errors.Is(err, liveconfig.ErrChanged):
		page.Problem = "Someone else changed the configuration at this moment, and nothing was loaded. Review it again."
		return v.showRulesPage(http.StatusPreconditionFailed, page)
	case errors.Is(err, liveconfig.ErrPending):
		page.Problem = sentence(err.Error())
		return v.showRulesPage(http.StatusConflict, page)
	case isRefused:
		page.Problem = "The gateway goes on with the former rules. " + sentence(c.shown.Without(err.Error()))
		return v.showRulesPage(http.StatusBadRequest, page)
	case err != nil && v.config.trials.Current() == nil:
		return err
	case err != nil:
		v.logger.Warn("the history of configurations is kept in memory alone", zap.Error(err))
	}
	v.changedWith("rules loaded", h.Pointer, "version "+liveconfig.IDOf(c.text)+", to be confirmed")
	v.redirect("./configuration?done=config-loaded")
	return nil
}

// rowsOf returns the lines of the form for rules.
func rowsOf(rules scopeexpr.Document) (rows []ruleField) {
	for i, rule := range rules {
		for j := range rule.Conditions {
			c := &rule.Conditions[j]
			requires, isShort := requiresOf(c)
			rows = append(rows, ruleField{
				From: fmt.Sprintf("%d.%d", i, j), Path: rule.Path, Methods: strings.Join(c.HTTPMethods, " "), Requires: requires, IsFixed: !isShort, Also: alsoOf(c),
			})
		}
	}
	return rows
}

// rowsOfForm reads them. Lines without a path are no rules.
func rowsOfForm(form url.Values) (rows []ruleField) {
	for i := range min(len(form["path"]), maxFormRules) {
		value := func(name string) string {
			if i < len(form[name]) {
				return strings.TrimSpace(form[name][i])
			}
			return ""
		}
		row := ruleField{From: value("from"), Path: value("path"), Methods: strings.Join(strings.Fields(strings.ReplaceAll(value("methods"), ",", " ")), " "), Requires: value("requires")}
		if row.Path != "" {
			rows = append(rows, row)
		}
	}
	return rows
}

// changedBy returns the rules that the lines of a form say. What the form does not know
// of a condition stays.
func (h *ruleHandler) changedBy(rows []ruleField) (changed scopeexpr.Document, err error) {
	at := map[string]int{}
	for n := range rows {
		row := &rows[n]
		var condition scopeexpr.Condition
		was := h.conditionOf(row.From)
		if was != nil {
			condition = *was
			row.Also = alsoOf(was)
		}
		condition.HTTPMethods = strings.Fields(row.Methods)
		before, isShort := "", true
		if was != nil {
			before, isShort = requiresOf(was)
		}
		if row.IsFixed = !isShort; was == nil || isShort && row.Requires != before {
			if err := require(&condition, row.Requires); err != nil {
				return nil, fmt.Errorf("%s %s: %w", row.Methods, row.Path, err)
			}
		}
		i, ok := at[row.Path]
		if !ok {
			i, at[row.Path] = len(changed), len(changed)
			changed = append(changed, scopeexpr.PathRule{Path: row.Path})
		}
		changed[i].Conditions = append(changed[i].Conditions, condition)
	}
	// What Compile says of it is to be about this document.
	text, err := json.Marshal(changed)
	if err != nil || len(changed) == 0 {
		return changed, errors.Join(err, errorIf(len(changed) == 0, "a handler needs a rule: to refuse all requests, write one that no token satisfies"))
	}
	return scopeexpr.ParseDocument(text)
}

func errorIf(is bool, text string) error {
	if is {
		return errors.New(text)
	}
	return nil
}

// conditionOf finds a condition by its numbers, nil for none.
func (h *ruleHandler) conditionOf(from string) *scopeexpr.Condition {
	first, second, _ := strings.Cut(from, ".")
	i, err := strconv.Atoi(first)
	j, err2 := strconv.Atoi(second)
	if err != nil || err2 != nil || i < 0 || i >= len(h.rules) || j < 0 || j >= len(h.rules[i].Conditions) {
		return nil
	}
	return &h.rules[i].Conditions[j]
}

// accesses are what a rule can require beside scopes.
var accesses = []string{scopeexpr.Public, scopeexpr.Authenticated, scopeexpr.Permitted}

// requiresOf writes what a condition requires, if it has a short form.
func requiresOf(c *scopeexpr.Condition) (text string, isShort bool) {
	if c.ScopeExpression == nil {
		return c.Access, true
	}
	text, err := c.ScopeExpression.Short()
	if err != nil || slices.Contains(accesses, text) {
		return fmt.Sprintf("%s over %q", c.ScopeExpression.Rule, c.ScopeExpression.Data), false
	}
	return text, true
}

// require sets what a condition requires.
func require(c *scopeexpr.Condition, text string) (err error) {
	c.Access, c.ScopeExpression = "", nil
	if slices.Contains(accesses, text) {
		c.Access = text
		return nil
	}
	c.ScopeExpression, err = scopeexpr.ParseShort(text)
	return err
}

// alsoOf names what the form leaves as it is.
func alsoOf(c *scopeexpr.Condition) string {
	var parts []string
	for name, value := range map[string]string{"resource_id": c.ResourceID, "resource_name": c.ResourceName, "acr": strings.Join(c.ACR, " ")} {
		if value != "" {
			parts = append(parts, name+" "+value)
		}
	}
	if c.MaxAge > 0 {
		parts = append(parts, fmt.Sprintf("max_age %ds", c.MaxAge))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
