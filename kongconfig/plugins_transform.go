// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// pair is a name with a value, written "name:value".
type pair struct{ name, value string }

// pairs reads a list of names with values.
func pairs(o *object, field string) (list []pair) {
	if o == nil {
		return nil
	}
	for _, text := range o.strs(field) {
		if field == "headers" {
			o.check(field, checkFieldValue(text))
		}
		name, value, found := strings.Cut(text, ":")
		if !found || name == "" {
			o.errorf(field, "%q is not a name with a value: write for example X-Name:value", text)
			continue
		}
		list = append(list, pair{strings.TrimSpace(name), value})
	}
	return list
}

func readRequestTransformer(f *file, p *plugin) builder {
	t := &transformer{o: p.config}
	remove, rename, replace := p.config.object("remove"), p.config.object("rename"), p.config.object("replace")
	add, appended := p.config.object("add"), p.config.object("append")
	for _, o := range []*object{remove, rename, replace, add, appended} {
		if o != nil && len(o.strs("body")) > 0 {
			o.errorf("body", "bodies are not changed: remove it, and let the service or its client do it")
		}
	}
	t.removals(remove)
	for _, h := range pairs(rename, "headers") {
		t.checkName(rename, h.value)
		t.header(rename, h.name, true, map[string]any{"set": values(h.value, "{http.request.header."+h.name+"}"), "delete": []string{h.name}})
	}
	for _, q := range pairs(rename, "querystring") {
		t.query(map[string]any{"rename": []any{keyValue(q.name, q.value)}})
	}
	for _, h := range pairs(replace, "headers") {
		t.header(replace, h.name, true, map[string]any{"set": values(h.name, t.template(replace, "headers", h.value))})
	}
	t.queries(replace, true)
	for _, h := range pairs(add, "headers") {
		t.header(add, h.name, false, map[string]any{"set": values(h.name, t.template(add, "headers", h.value))})
	}
	t.queries(add, false)
	for _, h := range pairs(appended, "headers") {
		t.checkName(appended, h.name)
		t.handlers = append(t.handlers, map[string]any{"handler": "headers", "request": map[string]any{"add": values(h.name, t.template(appended, "headers", h.value))}})
	}
	for _, q := range pairs(appended, "querystring") {
		t.query(map[string]any{"add": []any{keyValue(q.name, t.template(appended, "querystring", q.value))}})
	}
	var after []any
	if replace != nil {
		if uri := replace.str("uri"); uri != "" {
			after = append(after, map[string]any{"handler": "rewrite", "uri": t.template(replace, "uri", uri)})
		}
	}
	if method := p.config.str("http_method"); method != "" {
		if !methodName.MatchString(method) {
			p.config.errorf("http_method", "%q is not a method: write for example POST", method)
		}
		after = append(after, map[string]any{"handler": "rewrite", "method": strings.ToUpper(method)})
	}
	p.config.ignore("dots_in_keys")
	for _, o := range []*object{remove, rename, replace, add, appended} {
		o.done()
	}
	return func(*route) steps { return steps{before: t.handlers, after: after} }
}

// transformer collects handlers that change a request, in Kong's order.
type transformer struct {
	o        *object
	handlers []any
}

func (t *transformer) removals(o *object) {
	if o == nil {
		return
	}
	for _, name := range o.strs("headers") {
		t.checkName(o, name)
		t.handlers = append(t.handlers, map[string]any{"handler": "headers", "request": map[string]any{"delete": []string{escapePlaceholders(name)}}})
	}
	for _, name := range o.strs("querystring") {
		t.query(map[string]any{"delete": []string{escapePlaceholders(name)}})
	}
}

var methodName = regexp.MustCompile("^[A-Za-z]+$")

var headerName = regexp.MustCompile("^[!#$%&'+.^_`|~0-9A-Za-z-]+$")

func (t *transformer) checkName(o *object, name string) {
	switch {
	case strings.EqualFold(name, "host"):
		o.errorf("headers", "the Host for a service is its host: change that, or set preserve_host on the route")
	case !headerName.MatchString(name):
		o.errorf("headers", "%q is not a valid header name: use letters, digits and -", name)
	}
}

// header changes headers of requests that have one, or have it not.
func (t *transformer) header(o *object, name string, present bool, ops map[string]any) {
	t.checkName(o, name)
	var match any
	if present {
		match = []string{"*"}
	}
	t.handlers = append(t.handlers, subroute(when(map[string]any{"header": map[string]any{name: match}}, map[string]any{"handler": "headers", "request": ops})))
}

func (t *transformer) query(ops map[string]any) {
	t.handlers = append(t.handlers, map[string]any{"handler": "rewrite", "query": ops})
}

// queries sets parameters of requests that have them, or have them not.
func (t *transformer) queries(o *object, present bool) {
	for _, q := range pairs(o, "querystring") {
		match := map[string]any{"query": map[string]any{q.name: []string{"*"}}}
		if !present {
			match = not(match)
		}
		set := map[string]any{"handler": "rewrite", "query": map[string]any{"set": []any{keyValue(q.name, t.template(o, "querystring", q.value))}}}
		t.handlers = append(t.handlers, subroute(when(match, set)))
	}
}

func values(name, value string) map[string]any {
	return map[string]any{name: []string{value}}
}

func keyValue(key, value string) map[string]any {
	return map[string]any{"key": key, "val": value}
}

var (
	templateStart = regexp.MustCompile(`\$\(`)
	templateTerm  = regexp.MustCompile(`^\$\(\s*(headers|query_params|uri_captures)(?:\.([A-Za-z0-9_-]+)|\[\s*(?:"([^"\]]+)"|'([^'\]]+)'|(\d+))\s*\])\s*\)`)
)

// template turns a value with terms such as $(headers.x) into one with Caddy's
// placeholders.
func (t *transformer) template(o *object, field, text string) string {
	var b strings.Builder
	for {
		start := templateStart.FindStringIndex(text)
		if start == nil {
			b.WriteString(escapePlaceholders(text))
			return b.String()
		}
		b.WriteString(escapePlaceholders(text[:start[0]]))
		text = text[start[0]:]
		term := templateTerm.FindStringSubmatch(text)
		if term == nil {
			o.errorf(field, "%q is Lua, which does not run here: write $(headers.<name>), $(query_params.<name>) or $(uri_captures[<number>])", text)
			return ""
		}
		name := term[2] + term[3] + term[4] + term[5]
		switch term[1] {
		case "headers":
			fmt.Fprintf(&b, "{http.request.header.%s}", strings.ReplaceAll(name, "_", "-"))
		case "query_params":
			fmt.Fprintf(&b, "{http.request.uri.query.%s}", name)
		default:
			fmt.Fprintf(&b, "{gluu.route.capture.%s}", name)
		}
		text = text[len(term[0]):]
	}
}

func readResponseTransformer(f *file, p *plugin) builder {
	var handlers []any
	response := func(ops map[string]any) {
		ops["deferred"] = true
		handlers = append(handlers, map[string]any{"handler": "headers", "response": ops})
	}
	objects := map[string]*object{}
	for _, name := range []string{"remove", "rename", "replace", "add", "append"} {
		o := p.config.object(name)
		objects[name] = o
		if o == nil {
			continue
		}
		for _, field := range []string{"json", "json_types", "body"} {
			if len(o.strs(field)) > 0 && field != "json_types" {
				o.errorf(field, "bodies are not changed: remove it, and let the service do it")
			}
		}
	}
	// Deferred handlers run from the last to the first, so that all is added in reverse.
	for _, h := range reversed(objects["append"]) {
		response(map[string]any{"add": values(h.name, escapePlaceholders(h.value))})
	}
	for _, h := range reversed(objects["add"]) {
		response(map[string]any{"set": values(h.name, escapePlaceholders(h.value)), "require": requireHeader(h.name, false)})
	}
	for _, h := range reversed(objects["replace"]) {
		response(map[string]any{"set": values(h.name, escapePlaceholders(h.value)), "require": requireHeader(h.name, true)})
	}
	for _, h := range reversed(objects["rename"]) {
		response(map[string]any{"set": values(h.value, "{http.reverse_proxy.header."+h.name+"}"), "delete": []string{h.name}, "require": requireHeader(h.name, true)})
	}
	if o := objects["remove"]; o != nil {
		for _, name := range o.strs("headers") {
			name, value, found := strings.Cut(name, ":")
			if found {
				o.errorf("headers", "%s is removed whatever its value, or not at all: write it without %q", name, ":"+value)
			}
			response(map[string]any{"delete": []string{escapePlaceholders(name)}})
		}
	}
	for _, o := range objects {
		o.done()
	}
	return always(handlers...)
}

// reversed returns the headers of an operation from the last to the first.
func reversed(o *object) []pair {
	list := pairs(o, "headers")
	slices.Reverse(list)
	return list
}

func requireHeader(name string, present bool) map[string]any {
	if present {
		return map[string]any{"headers": map[string]any{name: []string{"*"}}}
	}
	return map[string]any{"headers": map[string]any{name: nil}}
}
