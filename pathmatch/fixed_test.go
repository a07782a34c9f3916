// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"strings"
	"testing"
)

func TestCheckFixed(t *testing.T) {
	for path, want := range map[string]string{
		"/callback":   "",
		"/a/b-c_d.e~": "",
		"/a/":         "",
		"/café":       "",
		"/":           "",
		"":            "begin it with a single slash",
		"callback":    "begin it with a single slash",
		"//a":         "begin it with a single slash",
		"https://a/b": "begin it with a single slash",
		"/a?b":        "not a fixed path",
		"/a#b":        "not a fixed path",
		"/a/*":        "not a fixed path",
		"/{host}":     "not a fixed path",
		"/a%20b":      "has an escape",
		"/a/../b":     "dot segment",
		"/a/.":        "dot segment",
		"/a;b":        "ambiguous path",
		`/a\b`:        "ambiguous path",
		"/a\tb":       "ambiguous path",
		"/a//b":       `is written "/a/b"`,
	} {
		if err := CheckFixed(path); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", path, err, want)
		}
	}
}
