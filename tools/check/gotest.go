// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// event is one line of `go test -json`; see `go doc test2json`.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output
	Test       string
	Elapsed    float64
	Output     string
}

// tally reads the events of one `go test -json` run. It shows one line a
// package and the full output of what failed.
type tally struct {
	result
	output   map[string]*strings.Builder // by package and test
	failedIn map[string]bool             // packages in which a test failed
	perTest  bool                        // show top-level tests too
}

// goTest runs go test with the arguments and counts.
func (c *checker) goTest(perTest bool, args ...string) result {
	return c.goTestIn(".", perTest, args...)
}

// goTestIn does it in a folder of the repository.
func (c *checker) goTestIn(dir string, perTest bool, args ...string) result {
	cmd := exec.CommandContext(c.ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Dir = filepath.Join(c.root, dir)
	cmd.Stderr = os.Stderr
	// Interrupt, not kill, so that the tests stop what they started.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	t := &tally{output: map[string]*strings.Builder{}, failedIn: map[string]bool{}, perTest: perTest}
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.fail("go test: %v", err)
		return t.result
	}
	t.read(pipe)
	if err := cmd.Wait(); err != nil && len(t.failed) == 0 {
		t.fail("go test: %v", err)
	}
	return t.result
}

func (t *tally) read(events io.Reader) {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil {
				fmt.Print(line)
			} else {
				t.add(e)
			}
		}
		if err != nil {
			return
		}
	}
}

func (t *tally) add(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		if e.Action == "build-output" {
			fmt.Print(e.Output)
			return
		}
		if t.output[key] == nil {
			t.output[key] = new(strings.Builder)
		}
		t.output[key].WriteString(e.Output)
		return
	case "pass":
		t.passOrLine(e)
	case "skip":
		if e.Test != "" {
			t.skipped = append(t.skipped, fmt.Sprintf("%s %s: %s", short(e.Package), e.Test, reason(t.text(key))))
		}
	case "fail":
		fmt.Printf("FAIL %s %s %.1fs\n%s", short(e.Package), e.Test, e.Elapsed, t.text(key))
		// A package fails with its tests; it counts only if it failed by
		// itself, for example because it does not compile.
		if e.Test != "" {
			t.failedIn[e.Package] = true
			t.fail("%s %s", short(e.Package), e.Test)
		} else if !t.failedIn[e.Package] {
			t.fail("%s", short(e.Package))
		}
	default:
		return
	}
	delete(t.output, key)
}

func (t *tally) passOrLine(e event) {
	switch {
	case e.Test == "":
		fmt.Printf("ok   %s %.1fs\n", short(e.Package), e.Elapsed)
	default:
		t.passed++
		if t.perTest && !strings.Contains(e.Test, "/") {
			fmt.Printf("ok   %s %.1fs\n", e.Test, e.Elapsed)
		}
	}
}

func (t *tally) text(key string) string {
	if t.output[key] == nil {
		return ""
	}
	return t.output[key].String()
}

// reason takes what a test said when it skipped itself out of its output:
// what follows "file_test.go:12: ".
func reason(output string) string {
	var said []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if _, after, found := strings.Cut(line, ".go:"); found {
			if _, text, found := strings.Cut(after, ": "); found {
				line = text
			}
		}
		said = append(said, line)
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
}

// module is the import path of the gateway.
const module = "github.com/caddy-gluu/gateway"

// short returns an import path without the part that all packages share.
func short(pkg string) string {
	if inner, ok := strings.CutPrefix(pkg, module+"/"); ok {
		return inner
	}
	if pkg == module {
		return "."
	}
	return pkg
}
