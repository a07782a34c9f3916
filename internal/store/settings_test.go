// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"testing"
)

func TestLacksKey(t *testing.T) {
	for settings, want := range map[string]bool{
		``:                                   false,
		`{"engine":"embedded"}`:              false,
		`{"engine":"redis"}`:                 true,
		`{"engine":"postgres","keys":[]}`:    true,
		`{"engine":"redis","keys":["k"]}`:    false,
		`{"engine":"one of another module"}`: false,
	} {
		if got := LacksKey(json.RawMessage(settings)); got != want {
			t.Errorf("%s: got %t, want %t", settings, got, want)
		}
	}
}
