// SPDX-License-Identifier: Apache-2.0

package kongpath

import (
	"strings"
	"testing"
)

func TestNormalize(t *testing.T) {
	for path, want := range map[string]string{
		"/": "/", "/a": "/a", "/a/": "/a/", "//a///b": "/a/b", "/./a/.": "/a/", "/a/..": "/", "/a/b/..": "/a/",
		"/../x": "/x", "/%2e%2E/x": "/x", "/%41": "/A", "/%2f": "/%2F", "/%3a%40": "/%3A%40", "/%zz": "/%zz",
		"/a%": "/a%", "/...": "/...", "/.a": "/.a", "*": "*", "/%25": "/%25", "/%e9": "/\xe9",
		"/a#b": "/a%23b", "/a?": "/a%3F", "/#/..": "/",
	} {
		if got := Normalize(path); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	f.Add("/a/%2e%2e//b%2f")
	f.Add("/%61/../%5c..")
	f.Add("/a/#b?c")
	f.Fuzz(func(t *testing.T, path string) {
		if !strings.HasPrefix(path, "/") {
			return
		}
		once := Normalize(path)
		if strings.Contains(once, "//") || strings.HasPrefix(once, "/../") || strings.Contains(once, "/../") || strings.Contains(once, "/./") {
			t.Errorf("%q: got %q", path, once)
		}
		if again := Normalize(Escape(once)); CheckEscapes(path) == nil && again != once {
			t.Errorf("%q: got %q and then %q", path, once, again)
		}
	})
}
