// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/internal/redact"
	"github.com/caddy-gluu/gateway/internal/routemap"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// handlerPage is all about one handler, beside the lane that it is in.
type handlerPage struct {
	Lane     lane
	Handler  *routemap.Handler
	Settings []setting
	Rules    *rulesTable // nil if it has none
	HasForm  bool        // for its rules
	JSON     string      // without secrets
	IsCut    bool        // of JSON
	Refusals []*decisions.Decision
	Commands []command
}

// setting is an option with what it means.
type setting struct{ Name, Value, Meaning string }

// command does on the admin API what a page does, or what it does not do.
type command struct{ What, Text string }

// reference are the texts about the options of handlers, by handler and option. They
// are generated from the comments of the code: `make schema`.
var reference = func() (texts map[string]map[string]string) {
	if err := json.Unmarshal(referenceFile, &texts); err != nil {
		panic(err) // it is part of the binary
	}
	return texts
}()

//go:embed reference.json
var referenceFile []byte

// Bounds of what is shown of a handler.
const (
	rowsBesideAHandler = 150
	maxValue           = 300
	maxJSON            = 24 << 10
	refusalsOfAHandler = 10
)

func showHandler(v *visit) error {
	query := v.r.URL.Query()
	found, err := v.app.Routes()
	if err != nil {
		return &fault{Status: http.StatusServiceUnavailable, Title: "Route", Text: sentence(err.Error())}
	}
	site := found.Site(query.Get("at"))
	h := found.Handler(query.Get("at"))
	if h == nil && site != nil {
		h = mainHandler(site.Route)
	}
	if h == nil {
		return &fault{Status: http.StatusNotFound, Title: "No such handler", Text: "The running configuration has no handler there. It may have been changed: look at the routes again."}
	}
	if site == nil { // in a named route
		site = &routemap.Site{Kind: "named route", Hosts: []string{}, Route: &routemap.Route{Pointer: h.Pointer, Handle: []*routemap.Handler{h}}}
	}
	visible, cut := visibleOf(h)
	page := handlerPage{
		Lane: laneOf(site, nil, h.Pointer, rowsBesideAHandler), Handler: h, Settings: settingsOf(h, visible),
		Rules: rulesOf(h, query), HasForm: ruleMembers[h.Name] != "", Refusals: refusalsOf(h, site), Commands: commandsFor(h, site),
		JSON: string(visible[:min(len(visible), maxJSON)]), IsCut: cut || len(visible) > maxJSON,
	}
	return v.show(http.StatusOK, "route", h.Name, page)
}

// mainHandler is the one of a site that people ask about: with rules, or else one that
// authenticates, or else the first.
func mainHandler(r *routemap.Route) (found *routemap.Handler) {
	rank := func(h *routemap.Handler) int {
		return slices.Index([]routemap.Role{routemap.Contains, routemap.Ends, "", routemap.Answers, routemap.Authenticates, routemap.Decides}, h.Role)
	}
	for _, h := range r.Handle {
		if found == nil || rank(h) > rank(found) {
			found = h
		}
		for _, inner := range h.Routes {
			if h := mainHandler(inner); h != nil && rank(h) > rank(found) {
				found = h
			}
		}
	}
	return found
}

// maxMember is how long a member of a handler may be to be shown in JSON. Rules can
// be longer by far, and have a table of their own.
const maxMember = 16 << 10

// visibleOf returns the configuration of a handler without its secrets, and without
// what is too long or has a lane of its own.
func visibleOf(h *routemap.Handler) (raw json.RawMessage, cut bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(h.Raw(), &members) != nil {
		return json.RawMessage("null"), false
	}
	for name, value := range members {
		if len(value) > maxMember || name == "routes" && h.Role == routemap.Contains {
			members[name], cut = json.RawMessage(`"..."`), true
		}
	}
	text, err := json.Marshal(members)
	if err != nil {
		return json.RawMessage("null"), false
	}
	return redact.Handler(text), cut
}

// settingsOf lists the options that are set. Rules have a table of their own, and
// routes a lane.
func settingsOf(h *routemap.Handler, visible json.RawMessage) (list []setting) {
	var members map[string]json.RawMessage
	if json.Unmarshal(visible, &members) != nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if name == "handler" || name == "routes" || strings.HasSuffix(name, "_scope_expression") {
			continue
		}
		value := string(members[name])
		var text string
		var compact bytes.Buffer
		if json.Unmarshal(members[name], &text) == nil {
			value = text
		} else if json.Compact(&compact, members[name]) == nil {
			value = compact.String()
		}
		list = append(list, setting{name, shortened(value), reference[h.Name][name]})
	}
	return list
}

func shortened(text string) string {
	if len(text) <= maxValue {
		return text
	}
	return strings.ToValidUTF8(text[:maxValue], "") + " ..."
}

// rulesTable are the rules of a handler that are in force, a page of them.
type rulesTable struct {
	Query string
	Rules []ruleRow
	Total int    // that fit
	All   int    // of the handler
	Next  string // address of the next page, "" on the last
}

type ruleRow struct{ Method, Path, Requires, Operation string }

const rulesOnAPage = 100

// rulesOf asks a running handler for its rules.
func rulesOf(h *routemap.Handler, query url.Values) *rulesTable {
	decides, ok := routemap.Running(h.Pointer).(interface{ InForce() *scopeexpr.Policy })
	if !ok {
		return nil
	}
	table := &rulesTable{Query: strings.TrimSpace(query.Get("rule"))}
	offset, _ := strconv.Atoi(query.Get("offset")) // what is not a number is the first page
	rules := decides.InForce().Rules()
	table.All = len(rules)
	for _, rule := range rules {
		row := ruleRow{rule.Method(), rule.Pattern(), "", rule.Operation()}
		if table.Query != "" {
			if row.Requires = requirementOf(rule); !row.mentions(table.Query) {
				continue
			}
		}
		table.Total++
		switch {
		case table.Total <= offset:
		case len(table.Rules) < rulesOnAPage:
			row.Requires = requirementOf(rule)
			table.Rules = append(table.Rules, row)
		case table.Next == "":
			table.Next = "route?" + url.Values{"at": {h.Pointer}, "rule": {table.Query}, "offset": {strconv.Itoa(table.Total - 1)}}.Encode()
		}
	}
	return table
}

func (r ruleRow) mentions(text string) bool {
	return strings.Contains(strings.ToLower(r.Method+" "+r.Path+" "+r.Requires+" "+r.Operation), strings.ToLower(text))
}

// requirementOf says what a rule asks for, on a line.
func requirementOf(r *scopeexpr.Rule) string {
	text := r.Access()
	if expression := r.Expression(); expression != nil {
		var err error
		if text, err = expression.Short(); err != nil { // no short form
			text = fmt.Sprintf("%s over %q", expression.Rule, expression.Data)
		}
	}
	if acr := r.Condition().ACR; len(acr) > 0 {
		text += ", acr " + strings.Join(acr, " or ")
	}
	if age := r.Condition().MaxAge; age > 0 {
		text += fmt.Sprintf(", max_age %d s", age)
	}
	return text
}

// refusalsOf returns the last refusals by handlers of this name for the hosts of the
// site.
func refusalsOf(h *routemap.Handler, site *routemap.Site) (found []*decisions.Decision) {
	if !strings.HasPrefix(h.Name, "gluu_") {
		return nil
	}
	for _, d := range decisions.Recent.List(decisions.Filter{Handler: h.Name}, decisions.Size) {
		if len(found) == refusalsOfAHandler {
			break
		}
		if site.Serves(d.Host) {
			found = append(found, d)
		}
	}
	return found
}

// commandsFor are what can be done with a handler on the admin API.
func commandsFor(h *routemap.Handler, site *routemap.Site) []command {
	at := "localhost:2019" + (&url.URL{Path: "/config" + h.Pointer}).EscapedPath()
	list := []command{
		{"Read it, with its secrets and its ETag", "curl -i " + quoted(at)},
		{"Replace it, unless someone changed it meanwhile (412)", "curl -X PATCH -H 'Content-Type: application/json' -H 'If-Match: <ETag>' -d @handler.json " + quoted(at)},
	}
	if strings.HasPrefix(h.Name, "gluu_") {
		list = append(list, command{"Follow its refusals", "caddy gluu decisions --follow --handler " + h.Name + hostFlag(site)})
	}
	if h.Role == routemap.Decides {
		list = append(list, command{"What would it decide?", "caddy gluu explain --token - --request 'GET /'" + hostFlag(site)})
	}
	return list
}

func hostFlag(site *routemap.Site) string {
	if len(site.Hosts) == 0 {
		return ""
	}
	return " --host " + quoted(site.Hosts[0])
}

// quoted writes an argument for a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
