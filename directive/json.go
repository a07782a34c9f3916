// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// UnmarshalJSON decodes the JSON of a module. Unlike encoding/json it names the
// option that is wrong by its path, and where one is unknown those that there are.
// A module calls it from its own UnmarshalJSON, with itself as a type without that
// method:
//
//	func (m *Module) UnmarshalJSON(text []byte) error {
//		type plain Module
//		return directive.UnmarshalJSON("gluu_module", text, (*plain)(m))
//	}
func UnmarshalJSON(module string, text []byte, target any) error {
	text = withoutHandler(text)
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(target)
	if err == nil {
		return nil
	}
	if found := findWrong(module, "", text, reflect.TypeOf(target).Elem(), false); found != nil {
		return found
	}
	return err
}

// withoutHandler removes the name of the handler, which Caddy removes before it
// decodes one. It is there where the JSON comes from elsewhere.
func withoutHandler(text []byte) []byte {
	var members map[string]json.RawMessage
	if !bytes.Contains(text, []byte(`"handler"`)) || json.Unmarshal(text, &members) != nil || members["handler"] == nil {
		return text
	}
	delete(members, "handler")
	if rest, err := json.Marshal(members); err == nil {
		return rest
	}
	return text
}

// findWrong returns what is wrong with the value of an option, nil if nothing is
// found. The path leads to the option from its module. A type that decodes itself is
// not looked into, except the module's own.
func findWrong(module, path string, value json.RawMessage, t reflect.Type, inner bool) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	kind := t.Kind()
	if inner && reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		kind = reflect.Invalid
	}
	switch kind {
	case reflect.Struct:
		return findWrongMember(module, path, value, t)
	case reflect.Map:
		var members map[string]json.RawMessage
		if err := json.Unmarshal(value, &members); err != nil {
			return wrongKind(module, path, "an object", value)
		}
		for _, name := range slices.Sorted(maps.Keys(members)) {
			if err := findWrong(module, join(path, name), members[name], t.Elem(), true); err != nil {
				return err
			}
		}
		return nil
	case reflect.Slice:
		var elements []json.RawMessage
		if err := json.Unmarshal(value, &elements); err != nil {
			return wrongKind(module, path, "a list", value)
		}
		for i, element := range elements {
			if err := findWrong(module, join(path, strconv.Itoa(i)), element, t.Elem(), true); err != nil {
				return err
			}
		}
		return nil
	}
	return findWrongScalar(module, path, value, t)
}

func findWrongMember(module, path string, value json.RawMessage, t reflect.Type) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(value, &members); err != nil {
		return wrongKind(module, path, "an object", value)
	}
	known := optionsOf(t)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		field, ok := known[name]
		if !ok {
			// encoding/json reads names in any case; such a one is not wrong.
			for other, its := range known {
				if strings.EqualFold(other, name) {
					field, ok = its, true
				}
			}
		}
		if !ok {
			return fmt.Errorf("there is no %q in %s: it has %s", name, at(module, path), strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		if err := findWrong(module, join(path, name), members[name], field, true); err != nil {
			return err
		}
	}
	return nil
}

// optionsOf returns the types of a struct's options by their names in JSON.
func optionsOf(t reflect.Type) map[string]reflect.Type {
	options := make(map[string]reflect.Type)
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || field.Anonymous && name == "" || name == "-" {
			continue
		}
		if name == "" {
			name = field.Name
		}
		options[name] = field.Type
	}
	return options
}

func findWrongScalar(module, path string, value json.RawMessage, t reflect.Type) error {
	err := json.Unmarshal(value, reflect.New(t).Interface())
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return wrongKind(module, path, kindOf(t), value)
	}
	return fmt.Errorf("%s: %w", at(module, path), err)
}

func wrongKind(module, path, want string, value json.RawMessage) error {
	return fmt.Errorf("%s is %s, not %s", at(module, path), want, kindOfValue(value))
}

// kindOf says in words what a type holds.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

// kindOfValue says in words what a JSON value is. The value itself may be a secret.
func kindOfValue(value json.RawMessage) string {
	switch trimmed := bytes.TrimSpace(value); {
	case len(trimmed) == 0:
		return "nothing"
	case trimmed[0] == '{':
		return "an object"
	case trimmed[0] == '[':
		return "a list"
	case trimmed[0] == '"':
		return "a text"
	case trimmed[0] == 't' || trimmed[0] == 'f':
		return "true or false"
	case trimmed[0] == 'n':
		return "null"
	}
	return "this number"
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// at names an option, or the module for an empty path.
func at(module, path string) string {
	if path == "" {
		return module
	}
	return module + ": " + path
}
