// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// ErrMissing says that this machine lacks a program that a test needs. The test
// then skips itself with this text.
var ErrMissing = errors.New("missing on this machine")

// oldestNode is the major version of Node.js that the packages need.
const oldestNode = 20

// node returns the path of Node.js, with the packages of e2e/package.json
// installed. NODE names another one than that in the PATH.
var node = sync.OnceValues(func() (string, error) {
	name := os.Getenv("NODE")
	if name == "" {
		name = "node"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w: Node.js %d or later (%s)", ErrMissing, oldestNode, name)
	}
	version, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("asking %s for its version: %w", path, err)
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(string(version)), "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestNode {
		return "", fmt.Errorf("%w: Node.js %d or later (%s is %s)", ErrMissing, oldestNode, path, strings.TrimSpace(string(version)))
	}
	return path, installPackages()
})

// RunNode runs a script below e2e with this input and returns what it prints.
// The test skips itself if Node.js is not installed.
func RunNode(t testing.TB, script, input string, args ...string) string {
	t.Helper()
	path, err := node()
	if errors.Is(err, ErrMissing) {
		t.Skipf("%s cannot run: %v", script, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append([]string{filepath.Join(Root(), "e2e", filepath.FromSlash(script))}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, problems.String())
	}
	return string(output)
}

// StartNode starts a script below e2e for the life of the test, and returns the
// line of JSON that it prints when it is ready. It ends with its standard
// input. The test skips itself if Node.js is not installed.
func StartNode(t testing.TB, script string) (ready string) {
	t.Helper()
	path, err := node()
	if errors.Is(err, ErrMissing) {
		t.Skipf("%s cannot run: %v", script, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := startProcess(script, exec.Command(path, filepath.Join(Root(), "e2e", filepath.FromSlash(script))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop() })
	ready, err = p.waitLine(func(line string) bool { return strings.HasPrefix(line, "{") })
	if err != nil {
		t.Fatal(err)
	}
	return ready
}

// StartExampleScript starts a script that is not below e2e, with the packages of
// e2e and further variables, and returns the line of JSON that it prints when it
// is ready. The test skips itself if Node.js is not installed.
func StartExampleScript(t testing.TB, script string, env map[string]string) (ready string) {
	t.Helper()
	path, err := node()
	if errors.Is(err, ErrMissing) {
		t.Skipf("%s cannot run: %v", script, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(Root(), filepath.FromSlash(script)))
	if err != nil {
		t.Fatal(err)
	}
	// Modules are looked for in the folders above a script.
	dir, err := os.MkdirTemp(filepath.Join(Root(), "e2e", "node_modules"), ".example-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	copied := filepath.Join(dir, filepath.Base(script))
	if err := os.WriteFile(copied, content, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, copied)
	cmd.Env = os.Environ()
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	p, err := startProcess(script, cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop() })
	ready, err = p.waitLine(func(line string) bool { return strings.HasPrefix(line, "{") })
	if err != nil {
		t.Fatal(err)
	}
	return ready
}

// installPackages brings e2e/node_modules to what package-lock.json says. A
// copy of that file in the folder says that it is up to date.
func installPackages() error {
	dir := filepath.Join(Root(), "e2e")
	lock, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return err
	}
	installed := filepath.Join(dir, "node_modules", ".installed-lock.json")
	if known, err := os.ReadFile(installed); err == nil && bytes.Equal(known, lock) {
		return nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return fmt.Errorf("%w: npm", ErrMissing)
	}
	cmd := exec.Command(npm, "ci", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return os.WriteFile(installed, lock, 0o644)
}
