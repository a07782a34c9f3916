// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-gluu/gateway"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// File is the name of the schema.
const File = "gluu-gateway.schema.json"

// module is the path of this repository's Go module.
const module = "github.com/caddy-gluu/gateway"

// object is a part of a schema. Its members are written in the order of their names.
type object map[string]any

// generator makes a schema of each type that it meets.
type generator struct {
	comments comments
	defs     object
	pending  []reflect.Type
}

// Generate returns the schema (JSON Schema, draft 2020-12) of a configuration of
// Caddy, as far as it is about the gateway: what other modules are configured with
// is left open. root is the folder of the repository.
func Generate(root string) ([]byte, error) {
	found, err := readComments(root)
	if err != nil {
		return nil, err
	}
	g := &generator{comments: found, defs: object{}}
	handlers, matchers := g.modulesIn("http.handlers"), g.modulesIn("http.matchers")
	g.addHTTP(handlers, matchers)
	schema := object{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       "Caddy with Gluu Gateway",
		"description": "Generated from the code by make schema. Options of other modules are not described.",
		"type":        "object",
		"properties": object{
			"apps": object{"type": "object", "properties": object{
				"gluu":              g.moduleAt("gluu"),
				"gluu_oauth_server": g.moduleAt("gluu_oauth_server"),
				"http": object{"type": "object", "properties": object{
					"servers": object{"type": "object", "additionalProperties": object{
						"type": "object", "properties": object{
							"routes":       ref("http.routes"),
							"named_routes": object{"type": "object", "additionalProperties": ref("http.route")},
							"errors":       object{"type": "object", "properties": object{"routes": ref("http.routes")}},
						},
					}},
				}},
			}},
		},
		"$defs": g.defs,
	}
	g.finish()
	text, err := json.MarshalIndent(schema, "", "  ")
	return append(text, '\n'), err
}

func ref(name string) object { return object{"$ref": "#/$defs/" + name} }

// addHTTP describes where handlers and matchers stand.
func (g *generator) addHTTP(handlers, matchers map[string]object) {
	rules := []any{}
	for _, name := range slices.Sorted(maps.Keys(handlers)) {
		rules = append(rules, object{"if": object{"properties": object{"handler": object{"const": name}}}, "then": handlers[name]})
	}
	g.defs["http.handler"] = object{
		"type": "object", "required": []any{"handler"},
		"properties": object{"handler": object{"type": "string"}, "routes": ref("http.routes")},
		"allOf":      rules,
	}
	matching := object{}
	for name, matcher := range matchers {
		matching[name] = matcher
	}
	g.defs["http.route"] = object{"type": "object", "properties": object{
		"handle": object{"type": "array", "items": ref("http.handler")},
		"match":  object{"type": "array", "items": object{"type": "object", "properties": matching}},
	}}
	g.defs["http.routes"] = object{"type": "array", "items": ref("http.route")}
}

// modulesIn returns the gateway's modules of a namespace, by name.
func (g *generator) modulesIn(namespace string) map[string]object {
	found := map[string]object{}
	for _, info := range caddy.GetModules(namespace) {
		if isOurs(typeOf(info)) {
			found[info.ID.Name()] = g.moduleAt(string(info.ID))
		}
	}
	return found
}

func typeOf(info caddy.ModuleInfo) reflect.Type {
	t := reflect.TypeOf(info.New())
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

func isOurs(t reflect.Type) bool {
	return t.PkgPath() == module || strings.HasPrefix(t.PkgPath(), module+"/")
}

// moduleAt returns the schema of a module.
func (g *generator) moduleAt(id string) object {
	info, err := caddy.GetModule(id)
	if err != nil {
		panic(err) // a name in this file
	}
	return g.of(typeOf(info))
}

// of returns the schema of a type. Structs are described once, in $defs.
func (g *generator) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[caddy.Duration]():
		return object{"type": []any{"string", "integer"}, "description": `A duration such as "30s", or nanoseconds.`}
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return object{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.of(t.Elem())
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice, reflect.Array:
		return object{"type": "array", "items": g.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": g.of(t.Elem())}
	case reflect.Interface:
		return object{}
	case reflect.Struct:
		return g.structOf(t)
	}
	panic(fmt.Sprintf("no schema for %v", t))
}

// structOf returns the reference to a struct, which is described if it is new.
func (g *generator) structOf(t reflect.Type) object {
	if t.Name() == "" { // written where it is used
		properties := object{}
		g.addFields(t, properties)
		return object{"type": "object", "properties": properties, "additionalProperties": false}
	}
	name := nameOf(t)
	if _, known := g.defs[name]; !known {
		g.defs[name] = object{}
		g.pending = append(g.pending, t)
	}
	return ref(name)
}

// finish describes all structs that were met.
func (g *generator) finish() {
	for len(g.pending) > 0 {
		t := g.pending[0]
		g.pending = g.pending[1:]
		properties := object{}
		g.addFields(t, properties)
		def := object{"type": "object", "properties": properties, "additionalProperties": false}
		if text := g.comments.ofType(t); text != "" {
			def["description"] = text
		}
		for _, inline := range []string{"handler", "engine", "module"} { // the key that names the module
			if _, taken := properties[inline]; !taken && isModuleKey(t, inline) {
				properties[inline] = object{"type": "string"}
			}
		}
		g.defs[nameOf(t)] = def
	}
}

// isModuleKey reports whether the configuration of a module names it under a key.
func isModuleKey(t reflect.Type, key string) bool {
	namespaces := map[string][]string{"handler": {"http.handlers"}, "engine": {"gluu.store"}, "module": {"gluu.oauth_server.storage"}}
	for _, namespace := range namespaces[key] {
		for _, info := range caddy.GetModules(namespace) {
			if typeOf(info) == t {
				return true
			}
		}
	}
	return false
}

// addFields adds the members of a struct, those of embedded structs included.
func (g *generator) addFields(t reflect.Type, properties object) {
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-" || !field.IsExported() && !field.Anonymous:
		case field.Anonymous && name == "":
			embedded := field.Type
			for embedded.Kind() == reflect.Pointer {
				embedded = embedded.Elem()
			}
			if embedded.Kind() == reflect.Struct {
				g.addFields(embedded, properties)
			}
		case name != "":
			property := g.ofField(t, field, name)
			if text := g.comments.ofField(t, field.Name); text != "" {
				property["description"] = text
			}
			properties[name] = property
		}
	}
}

// ofField returns the schema of a field: of a module where its tag says so, and of
// rules.
func (g *generator) ofField(t reflect.Type, field reflect.StructField, name string) object {
	if strings.HasSuffix(name, "_scope_expression") {
		return object{"anyOf": []any{object{"type": "string"}, g.of(reflect.TypeFor[scopeexpr.Document]())}}
	}
	if t.Name() == "Routes" && name == "handle" {
		return object{"type": "array", "items": ref("http.handler")}
	}
	tag := field.Tag.Get("caddy")
	if tag == "" {
		return g.of(field.Type)
	}
	return g.ofModule(caddy.ParseStructTag(tag))
}

// ofModule returns the schema of a member that holds a module of a namespace.
func (g *generator) ofModule(tag map[string]string, err error) object {
	if err != nil {
		panic(err)
	}
	var names, rules []any
	for _, info := range caddy.GetModules(tag["namespace"]) {
		names = append(names, info.ID.Name())
		if isOurs(typeOf(info)) {
			rules = append(rules, object{"if": object{"properties": object{tag["inline_key"]: object{"const": info.ID.Name()}}}, "then": g.moduleAt(string(info.ID))})
		}
	}
	schema := object{
		"type": "object", "required": []any{tag["inline_key"]},
		"properties": object{tag["inline_key"]: object{"enum": names}},
	}
	if len(rules) > 0 {
		schema["allOf"] = rules
	}
	return schema
}

// nameOf is the name of a type in $defs.
func nameOf(t reflect.Type) string {
	return strings.TrimPrefix(strings.ReplaceAll(strings.TrimPrefix(t.PkgPath(), module+"/"), "/", ".")+"."+t.Name(), "internal.")
}
