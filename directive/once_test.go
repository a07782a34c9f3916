// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestAnOptionStandsOnceInABlock(t *testing.T) {
	for block, want := range map[string]string{
		"a\nb\n":      "",
		"list\nlist":  "",
		"a\nb\na":     "a is set twice: keep one of them, at Testfile:4",
		"a on\na off": "a is set twice: keep one of them, at Testfile:3",
	} {
		d := caddyfile.NewTestDispenser("directive {\n" + block + "\n}")
		d.Next()
		var once Once
		var err error
		for d.NextBlock(0) && err == nil {
			err = once.Check(d, "list")
			d.RemainingArgs()
		}
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", block, err, want)
		}
	}
}

// A field remembers what another block for the same settings has said.
func TestAFieldIsSetOnce(t *testing.T) {
	var name, empty string
	for _, test := range []struct {
		line  string
		field *string
		want  string
	}{
		{"name a", &name, ""},
		{"name b", &name, "name is set twice: keep one of them, at Testfile:1"},
		{`name ""`, &empty, "name is empty: write a value or remove it, at Testfile:1"},
	} {
		d := caddyfile.NewTestDispenser(test.line)
		d.Next()
		err := SetString(d, test.field)
		if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", test.line, err, test.want)
		}
	}
	if name != "a" {
		t.Errorf("got %q, want a", name)
	}
}
