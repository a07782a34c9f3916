// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

const root = "../.."

// The schema that is committed is the one of the code.
func TestTheSchemaIsUpToDate(t *testing.T) {
	want, err := Generate(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(File)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the schema is older than the code: run make schema")
	}
}

// So are the texts that the pages of gluu_ui have.
func TestTheReferenceIsUpToDate(t *testing.T) {
	want, err := Reference(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, ReferenceFile))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the texts are older than the code: run make schema")
	}
}

// Every option has a comment, which is its description.
func TestEveryOptionHasADescription(t *testing.T) {
	for name, def := range committed(t)["$defs"].(map[string]any) {
		if strings.HasPrefix(name, "http.") {
			continue
		}
		properties, _ := def.(map[string]any)["properties"].(map[string]any)
		for option, property := range properties {
			_, described := property.(map[string]any)["description"]
			if isKey := option == "handler" || option == "engine" || option == "module"; !described && !isKey {
				t.Errorf("%s.%s has no comment", name, option)
			}
		}
	}
}

func committed(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile(File)
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

var block = regexp.MustCompile("(?s)```(caddyfile|json)\n(.*?)```")

// What the pages show is valid by the schema, and so is what their Caddyfiles adapt
// to.
func TestThePagesAreValid(t *testing.T) {
	schema := committed(t)
	pages, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(root + "/docs/*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, page := range append(pages, more...) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range block.FindAllStringSubmatch(string(text), -1) {
			config := []byte(found[2])
			if found[1] == "caddyfile" {
				if config, err = caddytest.Adapt(found[2]); err != nil {
					continue // of a plugin; the docs' own test knows
				}
			}
			part := partOf(schema, config)
			if part == nil {
				continue // not a configuration
			}
			checked++
			if err := validate(schema, part, decoded(t, config), ""); err != nil {
				t.Errorf("%s: %v\n%s", page, err, found[2])
			}
		}
	}
	if checked < 60 {
		t.Errorf("%d configurations were checked", checked)
	}
}

// The whole configuration of docs/json.md loads.
func TestTheWholeConfigurationLoads(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("CLIENT_SECRET", "a secret")
	text, err := os.ReadFile(root + "/docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	var whole []byte
	for _, found := range block.FindAllStringSubmatch(string(text), -1) {
		if config := decoded(t, []byte(found[2])).(map[string]any); config["apps"] != nil {
			whole = []byte(found[2])
		}
	}
	var config caddy.Config
	if err := caddy.StrictUnmarshalJSON(whole, &config); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&config); err != nil {
		t.Error(err)
	}
}

// What is wrong is found, wherever it is.
func TestWhatIsNotValid(t *testing.T) {
	schema := committed(t)
	for config, want := range map[string]string{
		`{"apps":{"gluu":{"providers":{"a":{"isuer":"x"}}}}}`:                                                                           "/apps/gluu/providers/a: unknown member isuer",
		`{"apps":{"gluu":{"providers":{"a":{"issuer":1}}}}}`:                                                                            "/apps/gluu/providers/a/issuer: not of type string",
		`{"apps":{"gluu":{"session":{"store":{"engine":"redis","addr":"x"}}}}}`:                                                         "/apps/gluu/session/store: unknown member addr",
		`{"apps":{"gluu":{"session":{"store":{"engine":"mysql"}}}}}`:                                                                    "/apps/gluu/session/store/engine: not one of",
		`{"apps":{"gluu":{"cache":{"max_age":true}}}}`:                                                                                  "/apps/gluu/cache/max_age: not of type",
		`{"apps":{"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"gluu_oauth_auth","realms":"x"}]}]}}}}}`:                      "unknown member realms",
		`{"apps":{"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"subroute","routes":[{"handle":[{"handle":"x"}]}]}]}]}}}}}`:   "/handle/0: handler is missing",
		`{"apps":{"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"gluu_oauth_pep","oauth_scope_expression":[{"p":1}]}]}]}}}}}`: "oauth_scope_expression/0: unknown member p",
	} {
		if err := validate(schema, schema, decoded(t, []byte(config)), ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", config, err, want)
		}
	}
}

func decoded(t *testing.T, config []byte) any {
	t.Helper()
	var value any
	if err := json.Unmarshal(config, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// partOf returns the part of the schema that a piece of a configuration is to be
// checked against, nil if it is none.
func partOf(schema map[string]any, config []byte) map[string]any {
	var piece struct {
		Apps    map[string]any
		Handler string
	}
	if json.Unmarshal(config, &piece) != nil {
		return nil
	}
	switch {
	case piece.Apps != nil:
		return schema
	case strings.HasPrefix(piece.Handler, "gluu_"):
		return schema["$defs"].(map[string]any)["http.handler"].(map[string]any)
	}
	return nil
}

// validate checks a value against a schema. It knows the keywords that Generate
// writes.
func validate(whole, schema map[string]any, value any, at string) error {
	if name, ok := schema["$ref"].(string); ok {
		target := whole["$defs"].(map[string]any)[strings.TrimPrefix(name, "#/$defs/")].(map[string]any)
		if err := validate(whole, target, value, at); err != nil {
			return err
		}
	}
	if !isOfType(schema["type"], value) {
		return fmt.Errorf("%s: not of type %v", at, schema["type"])
	}
	if allowed, ok := schema["enum"].([]any); ok && !slices.Contains(allowed, value) {
		return fmt.Errorf("%s: not one of %v", at, allowed)
	}
	if constant, ok := schema["const"]; ok && constant != value {
		return fmt.Errorf("%s: not %v", at, constant)
	}
	if err := validateParts(whole, schema, value, at); err != nil {
		return err
	}
	if choices, ok := schema["anyOf"].([]any); ok {
		var first error
		if !slices.ContainsFunc(choices, func(choice any) bool {
			first = validate(whole, choice.(map[string]any), value, at)
			return first == nil
		}) {
			return first
		}
	}
	for _, rule := range asList(schema["allOf"]) {
		rule := rule.(map[string]any)
		if validate(whole, rule["if"].(map[string]any), value, at) != nil {
			continue
		}
		if err := validate(whole, rule["then"].(map[string]any), value, at); err != nil {
			return err
		}
	}
	return nil
}

// validateParts checks the members of an object and the elements of a list.
func validateParts(whole, schema map[string]any, value any, at string) error {
	for i, element := range asList(value) {
		if items, ok := schema["items"].(map[string]any); ok {
			if err := validate(whole, items, element, fmt.Sprintf("%s/%d", at, i)); err != nil {
				return err
			}
		}
	}
	members, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	for _, name := range asList(schema["required"]) {
		if _, ok := members[name.(string)]; !ok {
			return fmt.Errorf("%s: %s is missing", at, name)
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		property, known := properties[name].(map[string]any)
		if !known {
			if schema["additionalProperties"] == false {
				return fmt.Errorf("%s: unknown member %s", at, name)
			}
			if property, known = schema["additionalProperties"].(map[string]any); !known {
				continue
			}
		}
		if err := validate(whole, property, members[name], at+"/"+name); err != nil {
			return err
		}
	}
	return nil
}

func asList(value any) []any {
	list, _ := value.([]any)
	return list
}

func isOfType(want, value any) bool {
	switch want := want.(type) {
	case []any:
		return slices.ContainsFunc(want, func(one any) bool { return isOfType(one, value) })
	case string:
		switch value := value.(type) {
		case string:
			return want == "string"
		case bool:
			return want == "boolean"
		case float64:
			return want == "number" || want == "integer" && value == float64(int64(value))
		case []any:
			return want == "array"
		case map[string]any:
			return want == "object"
		}
		return false
	}
	return true // no type is asked for
}
