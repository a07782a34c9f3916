// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-gluu/gateway/scopeexpr"
)

// FuzzLoad loads anything. A document that loads has rules that compile; none makes a
// panic, which with watch would end the gateway.
func FuzzLoad(f *testing.F) {
	for _, name := range []string{"petstore-2.0.json", "petstore-3.0.yaml"} {
		content, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Add([]byte(head + "paths:\n  /a/{b}.{c}:\n    get: {parameters: [{name: b, in: path, schema: {pattern: '^(a|b)$'}}, {name: c, in: path, schema: {enum: [1]}}], security: [{o: [r]}, {}], x-gluu-scopes: ['^a(?<PC1>.)']}\n"))
	f.Add([]byte(head + "servers: [{url: '{a}/b', variables: {a: {default: x, enum: [y]}}}]\npaths:\n  /{+a}: {get: {servers: [{url: /c}]}}\n"))
	f.Add([]byte("swagger: '2.0'\nbasePath: /v1\npaths:\n  /a: {$ref: '#/x'}\nx: &x {get: {security: []}}\ny: *x\n"))
	file := filepath.Join(f.TempDir(), "openapi.yaml")
	f.Fuzz(func(t *testing.T, content []byte) {
		write(t, file, string(content))
		api, err := Load(file, Options{SecuritySchemes: []string{"o"}})
		if err != nil {
			api, err = Load(file, Options{})
		}
		if err != nil {
			return
		}
		if _, err := api.Document.Compile(scopeexpr.Options{}); err != nil {
			t.Errorf("the rules do not compile: %v", err)
		}
	})
}
