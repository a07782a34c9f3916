// SPDX-License-Identifier: Apache-2.0

// Package redact takes the secrets out of Caddy's configuration, so that people may
// look at it. Of a handler they are left out ([Handler]). In a whole configuration
// each becomes a marker, so that a person can edit what is around it, and the text
// gets its secrets again:
//
//	shown, err := redact.JSON(key, config)
//	config, err = shown.RestoreJSON(edit(shown.Text))
//
// It hides too much rather than too little. A value is hidden if the name of its
// member says that it is a secret, or if the value looks like one. Of modules that
// are neither the gateway's nor part of Caddy, all text is hidden: what their members
// mean is not known here.
package redact

import (
	"bytes"
	"encoding/json"
	"maps"
)

// Hidden stands for a value that is not shown.
const Hidden = "(hidden)"

// Handler returns the configuration of an HTTP handler without its secrets,
// indented. Text that is not a JSON object becomes null.
func Handler(raw json.RawMessage) json.RawMessage {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var members map[string]any
	if decoder.Decode(&members) != nil {
		return json.RawMessage("null")
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	hider := &shower{} // what a whole configuration hides is hidden here too
	maps.Copy(members, hider.value(members, at{}).(map[string]any))
	if encoder.Encode(object(members, isForeign(members["handler"]))) != nil {
		return json.RawMessage("null")
	}
	return bytes.TrimSpace(text.Bytes())
}

// object hides what is secret in an object, in place.
func object(members map[string]any, foreign bool) map[string]any {
	for name, value := range members {
		members[name] = member(name, value, foreign)
	}
	return members
}

func member(name string, value any, foreign bool) any {
	if name == "handler" && isText(value) {
		return value
	}
	if IsSecretName(name) {
		return hideAll(value)
	}
	switch value := value.(type) {
	case map[string]any:
		// A handler in the routes of another one is judged by what it is itself.
		if inner, ok := value["handler"]; ok {
			foreign = isForeign(inner)
		}
		return object(value, foreign)
	case []any:
		for i := range value {
			value[i] = member("", value[i], foreign)
		}
		return value
	case string:
		if foreign && !isPlaceholder(value) || looksSecret(value) {
			return Hidden
		}
	}
	return value
}

func isText(value any) bool { _, ok := value.(string); return ok }

// hideAll hides all text and numbers in a value. Where a placeholder says from where
// the secret comes, that is shown.
func hideAll(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for name := range value {
			value[name] = hideAll(value[name])
		}
		return value
	case []any:
		for i := range value {
			value[i] = hideAll(value[i])
		}
		return value
	case nil, bool:
		return value
	case string:
		if value == "" || isPlaceholder(value) {
			return value
		}
	}
	return Hidden
}
