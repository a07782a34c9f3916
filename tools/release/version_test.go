// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// commitTo makes a repository with one commit.
func commitTo(t *testing.T) (root string, run func(args ...string)) {
	t.Helper()
	root = t.TempDir()
	run = func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
			"GIT_AUTHOR_DATE=1795313031 +0200", "GIT_COMMITTER_DATE=1795313031 +0200")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	run("init", "-q")
	if err := os.WriteFile(filepath.Join(root, "file"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	run("add", ".")
	run("commit", "-q", "-m", "one")
	return root, run
}

func TestTheVersionOfACommit(t *testing.T) {
	for name, test := range map[string]struct {
		tags  []string
		given string
		want  string // a prefix; empty: refused
	}{
		"given":              {nil, "v1.2.3-rc.1", "v1.2.3-rc.1"},
		"a tag":              {[]string{"v1.2.3"}, "", "v1.2.3"},
		"the newest tag":     {[]string{"v1.10.0", "v1.9.0", "latest"}, "", "v1.10.0"},
		"no tag of versions": {[]string{"latest"}, "", "v0.0.0-20261122020351-"},
		"without v":          {nil, "1.2.3", ""},
		"shortened":          {nil, "v1.2", ""},
		"with build data":    {nil, "v1.2.3+a", ""},
	} {
		t.Run(name, func(t *testing.T) {
			root, run := commitTo(t)
			for _, tag := range test.tags {
				run("tag", tag)
			}
			got, err := describe(t.Context(), root, test.given)
			if (err != nil) != (test.want == "") || err == nil && !strings.HasPrefix(got.version, test.want) {
				t.Errorf("got %q (%v), want %q", got.version, err, test.want)
			}
			if err == nil && !got.time.Equal(commitTime) {
				t.Errorf("got the time %v, want the commit's, %v", got.time, commitTime)
			}
		})
	}
}

func TestOnlyCommitsAreReleased(t *testing.T) {
	root, _ := commitTo(t)
	if err := clean(t.Context(), root); err != nil {
		t.Errorf("a clean tree: %v", err)
	}
	if err := os.WriteFile(filepath.Join(root, "other"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := clean(t.Context(), root); err == nil || !strings.Contains(err.Error(), "other") {
		t.Errorf("a tree with an unknown file: got %v", err)
	}
}

func TestPlatforms(t *testing.T) {
	got, err := parsePlatforms("windows/amd64,linux/arm64,windows/amd64")
	if err != nil || len(got) != 2 || got[0].binary() != "caddy.exe" || got[1].String() != "linux/arm64" {
		t.Errorf("got %v (%v)", got, err)
	}
	if _, err := parsePlatforms("linux/mips"); err == nil || !strings.Contains(err.Error(), `"linux/mips"`) {
		t.Errorf("got %v", err)
	}
}
