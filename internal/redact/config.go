// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
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
	names    map[string]bool
}

// marker finds the markers of a text.
var marker = regexp.MustCompile(`\(secret [0-9a-f]{16}\)`)

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
		known = secret{value, isNumber, map[string]bool{}}
		s.secrets[text] = known
	}
	known.names[name] = true
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
	text, err := Indent(s.value(value, at{}))
	if err != nil {
		return nil, err
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
	path     string
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
			inner := at{where.path + "/" + name, name, where.isSecret || IsSecretName(name), where.isOther}
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
			where.path = fmt.Sprintf("%s/%d", where.path, i)
			out[i] = s.value(element, where)
		}
		return out
	case string:
		if v == "" || isPlaceholder(v) || !(where.isSecret || where.isOther || looksSecret(v) || isKeyPart(where.name, v)) {
			return v
		}
		return s.hide(v, where.path, where.name, false)
	case json.Number:
		if where.isSecret && isPasswordName(where.name) {
			return s.hide(v.String(), where.path, where.name, true)
		}
	}
	return value
}

// With returns the same text with the secrets of another one also known, for a text
// that was made of both.
func (s *Shown) With(other *Shown) *Shown {
	all := maps.Clone(other.secrets)
	maps.Copy(all, s.secrets)
	return &Shown{s.Text, all}
}

// RestoreJSON puts the secrets back into an edited configuration. A marker must be in
// a member with the name of the one that it was in: a secret that is moved elsewhere
// could be shown by what finds it there.
func (s *Shown) RestoreJSON(edited []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(edited))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, located(edited, err)
	}
	if decoder.More() {
		return nil, errors.New("there is something after the configuration")
	}
	restored, err := s.restore(value, "")
	if err != nil {
		return nil, err
	}
	return json.Marshal(restored)
}

// located says at which line an error is.
func located(text []byte, err error) error {
	offset := int64(len(text))
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = min(syntax.Offset, offset)
	}
	before := text[:offset]
	line := bytes.Count(before, []byte("\n")) + 1
	return fmt.Errorf("line %d, column %d: %w", line, len(before)-bytes.LastIndexByte(before, '\n')-1, err)
}

func (s *Shown) restore(value any, name string) (any, error) {
	var err error
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			if v[name], err = s.restore(member, name); err != nil {
				return nil, err
			}
		}
	case []any:
		for i := range v {
			if v[i], err = s.restore(v[i], name); err != nil {
				return nil, err
			}
		}
	case string:
		return s.reveal(v, name)
	}
	return value, nil
}

// reveal returns the value of a marker. A text with a marker in it is none.
func (s *Shown) reveal(text, name string) (any, error) {
	found := marker.FindString(text)
	if found == "" {
		return text, nil
	}
	known, ok := s.secrets[found]
	switch {
	case !ok || found != text:
		return "", fmt.Errorf("%q stands for no secret of this configuration: write the value of %s", text, name)
	case !known.names[name]:
		return "", fmt.Errorf("%s was a secret of another member than %q: write the value", found, name)
	}
	if known.isNumber {
		return json.Number(known.value), nil
	}
	return known.value, nil
}
