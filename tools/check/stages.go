// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// command runs a program in a folder of the repository and returns what it
// printed on both streams.
func (c *checker) command(dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(c.ctx, name, args...)
	cmd.Dir = filepath.Join(c.root, dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// each runs one command in the gateway's module and in those of the tools.
func (c *checker) each(name string, args ...string) result {
	var r result
	for _, dir := range []string{".", "tools", "tools/release"} {
		out, err := c.command(dir, name, args...)
		fmt.Print(out)
		if err != nil {
			r.fail("%s in %s: %v", filepath.Base(name), dir, err)
		} else {
			r.passed++
		}
	}
	return r
}

// format checks what the compiler does not: that sources are formatted and
// name their licence.
func (c *checker) format() result {
	var r result
	listing, err := c.command(".", "git", "ls-files", "--cached", "--others", "--exclude-standard")
	if err != nil {
		r.fail("listing the files: %v", err)
		return r
	}
	var sources []string
	for name := range strings.FieldsSeq(listing) {
		content, err := os.ReadFile(filepath.Join(c.root, name))
		if err != nil {
			continue // removed from the working tree, not yet from the index
		}
		isScript := bytes.HasPrefix(content, []byte("#!"))
		isSource := strings.HasSuffix(name, ".go")
		if !isScript && !isSource && !strings.HasSuffix(name, ".mjs") {
			continue
		}
		head := content[:min(len(content), 200)]
		if !bytes.Contains(head, []byte("SPDX-License-Identifier: Apache-2.0")) {
			r.fail("%s does not begin with its licence header", name)
		}
		if isSource {
			sources = append(sources, name)
		}
	}
	unformatted, err := c.command(".", "gofmt", append([]string{"-l"}, sources...)...)
	if err != nil {
		r.fail("gofmt: %v %s", err, unformatted)
	}
	for name := range strings.FieldsSeq(unformatted) {
		r.fail("%s is not formatted: gofmt -w %s", name, name)
	}
	r.passed = len(sources)
	r.note = "files"
	return r
}

// unit runs every package except the end-to-end tests, with the race detector
// if the machine has the C compiler that it needs.
func (c *checker) unit() result {
	packages, err := c.packages()
	if err != nil {
		var r result
		r.fail("%v", err)
		return r
	}
	args := []string{"-timeout", "10m"}
	race := c.hasRace()
	if race {
		args = append(args, "-race")
	}
	r := c.goTestAgain(false, args, packages...)
	if race {
		r.note = "with the race detector"
	} else {
		r.skipped = append(r.skipped, "the race detector: it needs cgo and a C compiler (gcc or clang)")
	}
	if out, err := c.command("tools", "go", "test", "./..."); err != nil {
		fmt.Print(out)
		r.fail("the tests of the tools: %v", err)
	}
	return r
}

// packages lists every package of this module except the end-to-end tests.
func (c *checker) packages() ([]string, error) {
	out, err := c.command(".", "go", "list", "./...")
	if err != nil {
		return nil, fmt.Errorf("listing the packages: %w\n%s", err, out)
	}
	var packages []string
	for name := range strings.FieldsSeq(out) {
		if s := short(name); s != "e2e" && !strings.HasPrefix(s, "e2e/") {
			packages = append(packages, name)
		}
	}
	return packages, nil
}

func (c *checker) hasRace() bool {
	out, err := c.command(".", "go", "env", "CGO_ENABLED", "CC")
	if err != nil {
		return false
	}
	fields := strings.Fields(out)
	if len(fields) < 2 || fields[0] != "1" {
		return false
	}
	_, err = exec.LookPath(fields[1])
	return err == nil
}

// policy asks the standard binary what the policies of the examples decide.
func (c *checker) policy() result {
	var r result
	var files []string
	for _, pattern := range []string{"*/*.test.yaml", "*/policies/*_test.rego"} {
		found, err := filepath.Glob(filepath.Join(c.root, "examples", filepath.FromSlash(pattern)))
		if err != nil || len(found) == 0 {
			r.fail("no policy tests (examples/%s)", pattern)
			return r
		}
		files = append(files, found...)
	}
	args := []string{"gluu", "test"}
	for _, file := range files {
		relative, err := filepath.Rel(c.root, file)
		if err != nil {
			r.fail("%v", err)
			return r
		}
		args = append(args, relative)
	}
	binary := filepath.Join(c.root, "bin", "caddy")
	out, runErr := c.command(".", binary, append(args, "--json")...)
	for line := range strings.Lines(out) {
		var one struct {
			File, Request, Want, Got string
			Index                    int
			Pass                     bool
		}
		if json.Unmarshal([]byte(line), &one) != nil {
			fmt.Print(line)
			continue
		}
		if one.Pass {
			r.passed++
		} else {
			r.fail("%s, case %d: %s: got %s, want %s", one.File, one.Index, one.Request, one.Got, one.Want)
		}
	}
	if runErr != nil && len(r.failed) == 0 {
		r.fail("caddy gluu test: %v", runErr)
	}
	if runErr == nil && r.passed == 0 {
		r.fail("caddy gluu test ran no case")
	}
	return r
}

// e2e starts the binaries and real servers. A test skips itself if a program
// that it needs is not installed; the summary names the program.
func (c *checker) e2e() result {
	r := c.goTestAgain(true, []string{"-count=1", "-timeout", "30m"}, "./e2e/...")
	if programs := missing(r.skipped); len(programs) > 0 {
		r.note = "not installed: " + strings.Join(programs, ", ")
	}
	return r
}

// release tests what is shipped: packages, image and chart are made from
// bin/caddy, installed and started in namespaces of their own.
func (c *checker) release() result {
	r := c.goTestIn("tools/release", true, "-count=1", "-timeout", "15m", "./...")
	if programs := missing(r.skipped); len(programs) > 0 {
		r.note = "not installed: " + strings.Join(programs, ", ")
	}
	return r
}

// missingProgram matches the text of harness.ErrMissing and what follows it:
// "missing on this machine: PostgreSQL (initdb)".
var missingProgram = regexp.MustCompile(`missing on this machine: ([^(,]*[^(, ])`)

// missing returns the programs for want of which tests skipped themselves.
func missing(skipped []string) []string {
	programs := map[string]bool{}
	for _, line := range skipped {
		if match := missingProgram.FindStringSubmatch(line); match != nil {
			programs[match[1]] = true
		}
	}
	return slices.Sorted(maps.Keys(programs))
}
