// SPDX-License-Identifier: Apache-2.0

package routemap

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-gluu/gateway/internal/redact"
)

// conditions writes the matcher sets of a route for people; those of a site without its
// hosts, which it has as such.
func conditions(match []rawMatch, ofSite bool) (texts []string) {
	for _, set := range match {
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(set)) {
			if name != "host" || !ofSite || len(match) > 1 && len(set) > 1 {
				parts = append(parts, condition(name, set[name]))
			}
		}
		if len(parts) == 0 {
			return nil // it always holds, for its hosts
		}
		texts = append(texts, strings.Join(parts, " and "))
	}
	return texts
}

// condition writes one matcher.
func condition(name string, raw json.RawMessage) string {
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return name
	}
	switch value := value.(type) {
	case []any:
		if name == "not" {
			return "not (" + strings.Join(negated(raw), " or ") + ")"
		}
		return name + " " + words(value)
	case map[string]any:
		return name + " " + members(value)
	case nil:
		return name
	}
	return name + " " + word(value)
}

func negated(raw json.RawMessage) (texts []string) {
	var sets []rawMatch
	if json.Unmarshal(raw, &sets) != nil {
		return []string{"..."}
	}
	for _, set := range sets {
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(set)) {
			parts = append(parts, condition(name, set[name]))
		}
		texts = append(texts, strings.Join(parts, " and "))
	}
	return texts
}

// words writes a list. What is not text stays JSON.
func words(list []any) string {
	texts := make([]string, len(list))
	for i, element := range list {
		texts[i] = word(element)
	}
	return strings.Join(texts, " ")
}

func word(value any) string {
	switch value := value.(type) {
	case string:
		return redact.Text(value)
	case []any:
		return words(value)
	case map[string]any:
		return members(value)
	}
	return fmt.Sprint(value)
}

func members(object map[string]any) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if lower := strings.ToLower(name); redact.IsSecretName(name) || strings.Contains(lower, "key") || strings.Contains(lower, "token") {
			texts = append(texts, name+"="+redact.Hidden)
			continue
		}
		texts = append(texts, name+"="+word(object[name]))
	}
	return strings.Join(texts, " ")
}

// summaryOf says on a line what a handler does. It shows nothing that could be a
// secret: names, addresses without credentials, statuses.
func summaryOf(name string, raw json.RawMessage) string {
	var h struct {
		Upstreams  []struct{ Dial string } `json:"upstreams"`
		StatusCode any                     `json:"status_code"`
		Root       string                  `json:"root"`
		URI        string                  `json:"uri"`
		Strip      string                  `json:"strip_path_prefix"`
		Provider   any                     `json:"provider"`
		Name       string                  `json:"name"`
		DryRun     bool                    `json:"dry_run"`
		Open       *bool                   `json:"deny_by_default"`
		Optional   bool                    `json:"optional"`
		Headers    map[string][]string     `json:"headers"`
	}
	if json.Unmarshal(raw, &h) != nil {
		return ""
	}
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, redact.Text(fmt.Sprintf(format, args...))) }
	for _, u := range h.Upstreams {
		if name == "reverse_proxy" && !strings.Contains(u.Dial, "@") {
			add("%s", u.Dial)
		}
	}
	if provider, ok := h.Provider.(string); ok && provider != "" {
		add("provider %s", provider)
	}
	switch {
	case name == "static_response" && h.StatusCode != nil:
		add("%v", h.StatusCode)
	case name == "file_server" && h.Root != "":
		add("%s", h.Root)
	case name == "rewrite" && h.URI != "":
		add("to %s", h.URI)
	case name == "rewrite" && h.Strip != "":
		add("removes %s", h.Strip)
	case name == "invoke":
		add("%s", h.Name)
	}
	if h.DryRun {
		add("dry run: refuses nothing")
	}
	if h.Open != nil && !*h.Open {
		add("what no rule names passes")
	}
	if h.Optional {
		add("a token is optional")
	}
	return strings.Join(parts, ", ")
}
