// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
)

// Shown is a configuration without its secrets.
type Shown struct {
	Text    string
	secrets map[string]secret // by marker
}

// secret is what a marker stands for, and where it was.
type secret struct {
	value    string
	isNumber bool
	names    map[string]bool // first words of the lines, in a Caddyfile
	path     []string        // in JSON
	roots    []any           // the configurations in JSON that have it there, without secrets
}

// marker finds the markers of a text.
var marker = regexp.MustCompile(`\(secret [0-9a-f]{16}\)`)

// HasMarker reports whether a text has a marker of a hidden value.
func HasMarker(text string) bool { return marker.MatchString(text) }

// shower makes markers.
type shower struct {
	key     []byte
	secrets map[string]secret // nil: what is hidden does not come back
}

// hide returns the marker of a secret, which depends on where it is: two secrets that
// are the same do not show that they are.
func (s *shower) hide(value, place, name string, isNumber bool) string {
	if s.secrets == nil {
		return Hidden
	}
	mac := hmac.New(sha256.New, s.key)
	fmt.Fprintf(mac, "gluu redact\x00%s\x00%s", place, value)
	text := "(secret " + hex.EncodeToString(mac.Sum(nil)[:8]) + ")"
	known, ok := s.secrets[text]
	if !ok {
		known = secret{value: value, isNumber: isNumber, names: map[string]bool{}}
		s.secrets[text] = known
	}
	known.names[name] = true
	return text
}

// hideAt returns the marker of a secret in JSON.
func (s *shower) hideAt(value string, where at, isNumber bool) string {
	text := s.hide(value, pointer(where.path), where.name, isNumber)
	if known, ok := s.secrets[text]; ok {
		known.path = where.path
		s.secrets[text] = known
	}
	return text
}

// JSON returns a configuration, indented and with its members in order. The key makes
// markers that no one can guess secrets by.
func JSON(key string, config []byte) (*Shown, error) {
	decoder := json.NewDecoder(bytes.NewReader(config))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	s := &shower{[]byte(key), map[string]secret{}}
	visible := s.value(value, at{})
	text, err := Indent(visible)
	if err != nil {
		return nil, err
	}
	for found, known := range s.secrets {
		known.roots = []any{visible}
		s.secrets[found] = known
	}
	return &Shown{string(text), s.secrets}, nil
}

// Indent writes JSON as people read it.
func Indent(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// at is where in a configuration a value is.
type at struct {
	path     []string
	name     string // of the nearest member
	isSecret bool   // by the name of a member around it
	isOther  bool   // in a module of someone else
}

// value returns a value without its secrets.
func (s *shower) value(value any, where at) any {
	switch v := value.(type) {
	case map[string]any:
		where.isOther = ownerOf(v, where.isOther)
		out := make(map[string]any, len(v))
		for name, member := range v {
			inner := at{append(slices.Clip(where.path), name), name, where.isSecret || IsSecretName(name), where.isOther}
			if _, isObject := member.(map[string]any); isObject {
				inner.isOther = ownerOfName(name, inner.isOther)
			}
			if text, isText := member.(string); isText && (selectors[name] && isModule(text) || name == "handler" && s.secrets == nil) {
				out[name] = text
				continue
			}
			out[name] = s.value(member, inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			where := where
			where.path = append(slices.Clip(where.path), strconv.Itoa(i))
			out[i] = s.value(element, where)
		}
		return out
	case string:
		if v == "" || isPlaceholder(v) || !(where.isSecret || where.isOther || looksSecret(v) || isKeyPart(where.name, v)) {
			return v
		}
		return s.hideAt(v, where, false)
	case json.Number:
		if where.isSecret && isPasswordName(where.name) {
			return s.hideAt(v.String(), where, true)
		}
	}
	return value
}

// With returns the same text with the secrets of another one also known, for a text
// that was made of both.
func (s *Shown) With(other *Shown) *Shown {
	all := maps.Clone(other.secrets)
	for found, known := range s.secrets {
		known.roots = append(slices.Clip(known.roots), all[found].roots...)
		all[found] = known
	}
	return &Shown{s.Text, all}
}
