// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestAWrongNumberOfValuesIsCounted(t *testing.T) {
	for line, want := range map[string]string{
		"name":       "name takes exactly one value, got 0, at Testfile:1",
		"name a b":   "name takes exactly one value, got 2, at Testfile:1",
		"name a b c": "name takes exactly one value, got 3, at Testfile:1",
		"name a":     "",
	} {
		d := caddyfile.NewTestDispenser(line)
		d.Next()
		value, err := String(d)
		if want == "" && (err != nil || value != "a") {
			t.Errorf("%q: got %q, %v, want a", line, value, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", line, err, want)
		}
	}
}
