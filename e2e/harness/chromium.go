// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// browsers are the names of the program, by distribution.
var browsers = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// Chromium returns the path of Chromium or Chrome. The environment variable
// CHROMIUM names another one than that in the PATH. The test skips itself if
// none is installed.
func Chromium(t testing.TB) string {
	t.Helper()
	path, err := findChromium()
	if err != nil {
		t.Skipf("NOT TESTED: what needs a browser: %v", err)
	}
	return path
}

func findChromium() (string, error) {
	names := browsers
	if name := os.Getenv("CHROMIUM"); name != "" {
		names = []string{name}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: Chromium or Chrome (looked for %q)", ErrMissing, names)
}

// ChromiumFlags returns the flags that let the browser run without a screen,
// with a profile in the given folder, and without calls of its own to the
// Internet.
func ChromiumFlags(profile string) []string {
	flags := []string{
		"--headless=new",
		"--user-data-dir=" + profile,
		"--no-first-run",
		"--no-default-browser-check",
		"--disable-background-networking",
		"--disable-component-update",
		"--disable-sync",
		"--disable-extensions",
		"--disable-gpu",
		"--disable-dev-shm-usage", // containers have 64 MiB there
	}
	if os.Getuid() == 0 {
		// The sandbox refuses root. The tests only open pages of their own.
		flags = append(flags, "--no-sandbox")
	}
	return flags
}
