// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// ReferenceFile is where the pages of gluu_ui have the texts about the options of
// handlers.
const ReferenceFile = "caddyui/reference.json"

// Reference returns what each option of each handler of the gateway means, by the
// name of the handler and of the option. The texts are those of the schema.
func Reference(root string) ([]byte, error) {
	found, err := readComments(root)
	if err != nil {
		return nil, err
	}
	g := &generator{comments: found, defs: object{}}
	texts := map[string]map[string]string{}
	for _, info := range caddy.GetModules("http.handlers") {
		if isOurs(typeOf(info)) {
			texts[info.ID.Name()] = g.textsOf(typeOf(info))
		}
	}
	text, err := json.MarshalIndent(texts, "", " ")
	return append(text, '\n'), err
}

// textsOf returns the descriptions of a struct's members.
func (g *generator) textsOf(t reflect.Type) map[string]string {
	properties := object{}
	g.addFields(t, properties)
	texts := map[string]string{}
	for name, property := range properties {
		if text, ok := property.(object)["description"].(string); ok {
			texts[name] = strings.Join(strings.Fields(text), " ")
		}
	}
	return texts
}
