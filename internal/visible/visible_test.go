// SPDX-License-Identifier: Apache-2.0

package visible

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
)

func TestText(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"plain":           {"/todos/5?x=<b>&'\"", "/todos/5?x=<b>&'\""},
		"empty":           {"", ""},
		"other languages": {"café 日本 Ωμέγα שלום", "café 日本 Ωμέγα שלום"},
		"terminal":        {"a\x1b[31mb\x07", `a\u001b[31mb\u0007`},
		"lines":           {"a\r\nb\tc", `a\u000d\u000ab\u0009c`},
		"C1":              {"a\u009bb\u007f", `a\u009bb\u007f`},
		"bidirectional":   {"a\u202eb\u2066c\u200f", `a\u202eb\u2066c\u200f`},
		"zero width":      {"a\u200bb\u200dc\ufeff\u2060\u00ad", `a\u200bb\u200dc\ufeff\u2060\u00ad`},
		"fillers":         {"\u3164\u115f\u2800", `\u3164\u115f` + "\u2800"},
		"line separators": {"a\u2028b\u2029", `a\u2028b\u2029`},
		"no-break space":  {"a\u00a0b", `a\u00a0b`},
		"tags":            {"a\U000e0041", `a\U000e0041`},
		"variation":       {"a\ufe0f", `a\ufe0f`},
		"not UTF-8":       {"a\xff\xc3(", `a\xff\xc3(`},
		"replacement":     {"a\ufffd", `a\ufffd`},
		"nul":             {"\x00", `\u0000`},
		"private use":     {"\ue000", `\ue000`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Text(test.text); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestJSONMeansTheSame(t *testing.T) {
	text := []byte("{\n \"a\": \"caf\u00e9 \u202e\u009b\u007f\U000e0041 \\u001b <b>\"\n}")
	got := JSON(text)
	if want := "{\n \"a\": \"caf\u00e9 \\u202e\\u009b\\u007f\\udb40\\udc41 \\u001b <b>\"\n}"; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var before, after any
	if err := errors.Join(json.Unmarshal(text, &before), json.Unmarshal(got, &after)); err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("%v became %v, error %v", before, after, err)
	}
}
