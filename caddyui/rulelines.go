// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-gluu/gateway/internal/redact"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// linesOf writes rules as a Caddyfile has them, for people to read and to compare.
func linesOf(rules scopeexpr.Document) string {
	var b strings.Builder
	for i := range rules {
		fmt.Fprintf(&b, "path %s {\n", caddyfileWord(rules[i].Path))
		for j := range rules[i].Conditions {
			writeCondition(&b, &rules[i].Conditions[j])
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func writeCondition(b *strings.Builder, c *scopeexpr.Condition) {
	requires, isShort := requiresOf(c)
	switch {
	case !isShort:
		requires = "scope " + caddyfileWord(requires) // which is not read back
	case c.ScopeExpression != nil:
		requires = "scope " + caddyfileExpression(requires)
	}
	fmt.Fprintf(b, "\t%s %s", strings.Join(c.HTTPMethods, " "), requires)
	var inner []string
	if len(c.ACR) > 0 {
		inner = append(inner, "acr "+strings.Join(c.ACR, " "))
	}
	if c.MaxAge > 0 {
		inner = append(inner, fmt.Sprintf("max_age %ds", c.MaxAge))
	}
	if c.ResourceID != "" {
		inner = append(inner, "resource_id "+caddyfileWord(c.ResourceID))
	}
	if c.ResourceName != "" {
		inner = append(inner, "resource_name "+caddyfileWord(c.ResourceName))
	}
	if len(inner) > 0 {
		b.WriteString(" {\n\t\t" + strings.Join(inner, "\n\t\t") + "\n\t}")
	}
	b.WriteString("\n")
}

// caddyfileWord quotes a word that would otherwise be read as several, or differently.
func caddyfileWord(text string) string {
	switch {
	case text != "" && !strings.ContainsAny(text, " \t\r\n\"`\\#") && !strings.HasPrefix(text, "{"):
		return text
	case strings.Contains(text, "`"):
		return `"` + strings.ReplaceAll(text, `"`, `\"`) + `"`
	}
	return "`" + text + "`"
}

// caddyfileExpression quotes an expression with characters that a Caddyfile takes for
// its own.
func caddyfileExpression(text string) string {
	if strings.ContainsAny(text, "\"`\\#{}") {
		return caddyfileWord(text)
	}
	return text
}

func documentText(rules scopeexpr.Document) (string, error) {
	text, err := redact.Indent(rules)
	return string(text), err
}

// caddyfileOf returns the lines for the block of a handler. They are read back: if they
// do not say the same, as where an expression has no short form, there are none.
func caddyfileOf(h *ruleHandler, rules scopeexpr.Document) string {
	lines := linesOf(rules)
	file := ":1 {\n" + h.Name + " {\n" + lines + "}\n}\n"
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(file), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return ""
	}
	var adapted any
	if decode(config, &adapted) != nil {
		return ""
	}
	handler, _ := handlerNamed(adapted, h.Name)
	read, err := rulesIn(handler[ruleMembers[h.Name]])
	if err != nil || !isSameDocument(read, rules) {
		return ""
	}
	return lines
}

// handlerNamed finds the only handler with a name.
func handlerNamed(value any, name string) (found map[string]any, ok bool) {
	switch v := value.(type) {
	case map[string]any:
		if v["handler"] == name {
			return v, true
		}
		for _, member := range v {
			if found, ok := handlerNamed(member, name); ok {
				return found, true
			}
		}
	case []any:
		for _, element := range v {
			if found, ok := handlerNamed(element, name); ok {
				return found, true
			}
		}
	}
	return nil, false
}

func isSameDocument(a, b scopeexpr.Document) bool {
	x, err := json.Marshal(a)
	y, err2 := json.Marshal(b)
	var p, q any
	return err == nil && err2 == nil && decode(x, &p) == nil && decode(y, &q) == nil && reflect.DeepEqual(p, q)
}

// commandsForRules do the same on the admin API.
func commandsForRules(h *ruleHandler) []command {
	at := (&url.URL{Path: "/config" + h.Pointer}).EscapedPath()
	if id, _ := h.members["@id"].(string); id != "" {
		at = (&url.URL{Path: "/id/" + id}).EscapedPath()
	}
	at = quoted("localhost:2019" + at + "/" + ruleMembers[h.Name])
	return []command{
		{"Read the rules, with their ETag", "curl -i " + at},
		{"Replace them by those of a file, unless someone changed them meanwhile (412)", "curl -X PATCH -H 'Content-Type: application/json' -H 'If-Match: <ETag>' -d @rules.json " + at},
	}
}
