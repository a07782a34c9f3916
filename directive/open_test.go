// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"errors"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("got %v, want no error", err)
	case want != "" && (err == nil || err.Error() != want):
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestADirectiveBegins(t *testing.T) {
	block := func(d *caddyfile.Dispenser) (*caddyfile.Dispenser, error) {
		return BeginBlock(d, "write 'origins %s' into the block")
	}
	var name string
	named := func(d *caddyfile.Dispenser) (*caddyfile.Dispenser, error) { return BeginNamed(d, "provider", &name) }
	for title, test := range map[string]struct {
		text  string
		begin func(*caddyfile.Dispenser) (*caddyfile.Dispenser, error)
		name  string
		want  string
	}{
		"a block":          {"x {\n a\n}", block, "", ""},
		"a value before":   {"x \"it's\" {\n a\n}", block, "", `x takes a block and no value, got "it's": write 'origins it's' into the block, at Testfile:1`},
		"a name":           {"x op {\n a\n}", named, "op", ""},
		"no name":          {"x {\n a\n}", named, "", ""},
		"a name too many":  {"x op other {\n a\n}", named, "op", `x takes one provider, got "other" as well: remove one of them, at Testfile:1`},
		"a name, no block": {"x op", named, "op", ""},
	} {
		t.Run(title, func(t *testing.T) {
			name = ""
			start, err := test.begin(caddyfile.NewTestDispenser(test.text))
			wantError(t, err, test.want)
			if name != test.name {
				t.Errorf("got the name %q, want %q", name, test.name)
			}
			if start.Val() != "x" {
				t.Errorf("the start is %q, want the directive", start.Val())
			}
		})
	}
}

func TestLocated(t *testing.T) {
	d := caddyfile.NewTestDispenser("a\nb")
	d.Next()
	d.Next()
	cause := errors.New("wrong")
	if err := Located(d, cause); !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause in it", err)
	}
	wantError(t, Located(d, cause), "wrong, at Testfile:2")
	wantError(t, Located(d, nil), "")
}

func TestEither(t *testing.T) {
	for want, words := range map[string][]string{"": nil, "a": {"a"}, "a or b": {"a", "b"}, "a, b or c": {"a", "b", "c"}} {
		if got := Either(words); got != want {
			t.Errorf("%q: got %q, want %q", words, got, want)
		}
	}
}

func TestPositive(t *testing.T) {
	for line, want := range map[string]string{
		"size 1":    "",
		"size 0":    `size is a whole number of at least 1, not "0", at Testfile:1`,
		"size -5":   `size is a whole number of at least 1, not "-5", at Testfile:1`,
		"size many": `size is a whole number of at least 1, not "many", at Testfile:1`,
		"size 1.5":  `size is a whole number of at least 1, not "1.5", at Testfile:1`,
		"size":      "size takes exactly one value, got 0, at Testfile:1",
	} {
		t.Run(line, func(t *testing.T) {
			d := caddyfile.NewTestDispenser(line)
			d.Next()
			got, err := Positive(d)
			wantError(t, err, want)
			if want == "" && got != 1 {
				t.Errorf("got %d, want 1", got)
			}
		})
	}
}
