// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/hex"
	"os/exec"
	"strings"
	"testing"
)

// TestTwoBuildsAreEqual builds the binary of this machine twice, from the commit
// that is checked out, in two folders.
func TestTwoBuildsAreEqual(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the gateway twice")
	}
	root, err := repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := describe(t.Context(), root, "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	var sums [][]byte
	for range 2 {
		stage, err := newStage(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stage.remove)
		if err := stage.prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := stage.compile(t.Context(), here()); err != nil {
			t.Fatal(err)
		}
		sum, err := sumOf(stage.program(here()))
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, sum)
		checkProgram(t, stage)
	}
	if !bytes.Equal(sums[0], sums[1]) {
		t.Errorf("two builds of commit %s differ: %s and %s", r.commit, hex.EncodeToString(sums[0]), hex.EncodeToString(sums[1]))
	}
}

// checkProgram runs the binary, and looks for this machine's paths in it.
func checkProgram(t *testing.T, s *stage) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), s.program(here()), "gluu", "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "gluu-gateway v1.2.3\n") {
		t.Errorf("caddy gluu version: got %q (%v)", out, err)
	}
	content := read(t, s.program(here()))
	for _, path := range []string{s.dir, s.root} {
		if bytes.Contains(content, []byte(path+"/")) {
			t.Errorf("the binary contains the path %s of this machine", path)
		}
	}
}
