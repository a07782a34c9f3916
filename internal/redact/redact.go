// SPDX-License-Identifier: Apache-2.0

// Package redact takes the secrets out of a piece of Caddy's configuration, so that
// people may look at it.
//
// It hides too much rather than too little. A value is hidden if the name of its
// member says that it is a secret, or if the value looks like one. Of modules that
// are neither the gateway's nor part of Caddy, all text is hidden: what their members
// mean is not known here.
package redact

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
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
	if isSecretName(name) {
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

// isForeign reports whether a handler is neither the gateway's nor part of Caddy.
func isForeign(name any) bool {
	text, _ := name.(string)
	return !strings.HasPrefix(text, "gluu_") && !slices.Contains(standard, text)
}

// standard are Caddy's own handlers.
var standard = []string{
	"acme_server", "authentication", "copy_response", "copy_response_headers", "encode", "error", "file_server", "headers",
	"intercept", "invoke", "log_append", "map", "metrics", "push", "request_body", "reverse_proxy", "rewrite", "static_response",
	"subroute", "templates", "tracing", "vars",
}

// secretNames are parts of names whose values are secrets.
var secretNames = regexp.MustCompile(`(?i)secret|passw|passphrase|pwd|credential|private|authorization|cookie|api[-_]?key|access[-_]?key|session[-_]?id|signature|(^|[-_])(token|key|keys|salt|pin|hash|psk|hmac|dsn|jwt)$|[a-z](Token|Key|Dsn|Hash)$`)

// notSecret are members whose names look like those of secrets and that are settings.
var notSecret = []string{
	"hash_algorithm", "cookie_name", "cookie_domain", "cookie_path", "cookie_same_site", "pass_credentials",
}

func isSecretName(name string) bool {
	return name != "" && !slices.Contains(notSecret, name) && secretNames.MatchString(name)
}

// isPlaceholder reports whether a value consists of placeholders.
func isPlaceholder(value string) bool { return placeholders.MatchString(value) }

var placeholders = regexp.MustCompile(`^(\{[$a-zA-Z_][a-zA-Z0-9_.$/:-]*\})+$`)

// secretValues are what secrets look like: credentials in an address, or in a header
// field, PEM, JWTs, and hashes of passwords.
var secretValues = regexp.MustCompile(`(?i)://[^/@\s]*:[^/@\s]+@|^\s*(bearer|basic|dpop|digest|token|apikey)\s+\S|-----BEGIN |\beyJ[A-Za-z0-9_-]{8,}\.|^\$(argon2|2[abxy]|pbkdf2|scrypt|5|6|y)|[?&](access_token|token|api_key|apikey|key|password|secret|client_secret|sig|signature)=`)

func looksSecret(value string) bool { return secretValues.MatchString(value) }
