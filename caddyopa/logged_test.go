// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// A value in a log line is the one that JSON has, with numbers exact.
func TestValuesAreLoggedAsTheyAre(t *testing.T) {
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{SkipLineEnding: true})
	for _, text := range []string{
		`null`, `true`, `false`, `""`, `"a \"quoted\"\n\u0000\u2028 text"`, `0`, `-7`, `9223372036854775807`, `9223372036854775808`,
		`1.5`, `1e400`, `0.1`, `123456789012345678901234567890.5`, `[]`, `{}`, `[null, true, 1, 1.5, 1e400, "a", [], {}, [[1]], {"a": [{"b": null}]}]`,
		`{"": 1, "a": {"b": [1, "2", null, false]}, "n": null, "e": [], "o": {}}`,
	} {
		value, err := ast.ValueFromReader(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		line, err := encoder.EncodeEntry(zapcore.Entry{}, []zap.Field{logged("x", value)})
		if err != nil {
			t.Fatal(err)
		}
		var want, got any
		decode(t, `{"x": `+text+`}`, &want)
		decode(t, line.String(), &got)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is logged as %s", text, line)
		}
	}
	set := ast.NewObject(ast.Item(ast.IntNumberTerm(1), ast.SetTerm(ast.StringTerm("a"))))
	line, err := encoder.EncodeEntry(zapcore.Entry{}, []zap.Field{logged("x", set), logged("none", nil)})
	if err != nil || line.String() != `{"x":{"1":["a"]},"none":null}` {
		t.Errorf("got %s, %v", line, err)
	}
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}
