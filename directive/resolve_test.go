// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("s3cret\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GLUU_TEST_SET", "value")
	t.Setenv("GLUU_TEST_EMPTY", "")
	for value, want := range map[string]string{
		"":                            "",
		"plain":                       "plain",
		"{file." + file + "}":         "s3cret",
		"{env.GLUU_TEST_SET}":         "value",
		"a-{env.GLUU_TEST_SET}-b":     "a-value-b",
		"{file." + file + "}/{env.X}": "error",
		"{env.GLUU_TEST_EMPTY}":       "error",
		"{http.request.host}":         "error",
		`a\{b}c`:                      "a{b}c",
		`\{env.GLUU_TEST_SET}`:        "{env.GLUU_TEST_SET}",
		`\{a{env.GLUU_TEST_SET}b}`:    "{avalueb}",
		"{env.GLUU_TEST_SET}{query}":  "error",
	} {
		t.Run(value, func(t *testing.T) {
			got, err := Resolve(value)
			if want == "error" {
				if err == nil || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("got %q, %v; want an error that does not show the value", got, err)
				}
				return
			}
			if err != nil || got != want {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		})
	}
	if _, err := Resolve("{env.GLUU_TEST_EMPTY}"); !errors.Is(err, ErrEmpty) {
		t.Errorf("got %v, want ErrEmpty", err)
	}
}
