// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var (
	fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)
	fuzzCount  = regexp.MustCompile(`execs: (\d+)`)
)

// fuzz runs each fuzz target for a few seconds: enough to see that it still runs
// and that nothing near its corpus broke. They start from the repository's corpus
// alone, so that the stage takes the same time on a machine that has fuzzed before.
func (c *checker) fuzz() result {
	var r result
	r.note = c.fuzzTime.String() + " each"
	targets, err := c.fuzzTargets()
	if err != nil {
		r.fail("looking for fuzz targets: %v", err)
		return r
	}
	work, err := os.MkdirTemp("", "fuzz")
	if err != nil {
		r.fail("%v", err)
		return r
	}
	defer os.RemoveAll(work)
	for linked := range c.linkAhead(slices.Sorted(maps.Keys(targets)), work) {
		if linked.err != nil {
			fmt.Print(linked.output)
			r.fail("%s does not compile", linked.dir)
			continue
		}
		for _, name := range targets[linked.dir] {
			c.fuzzOne(&r, linked.binary, linked.dir, name, filepath.Join(work, "corpus", linked.dir))
		}
		_ = os.Remove(linked.binary)
	}
	return r
}

// linked is the program of a package's tests.
type linked struct {
	dir, binary, output string
	err                 error
}

// linkAhead links the tests of packages, once for all targets of each. While the
// targets of one run, the next one is linked already: that takes as long as they do.
func (c *checker) linkAhead(dirs []string, work string) <-chan linked {
	ahead := make(chan linked)
	go func() {
		defer close(ahead)
		for i, dir := range dirs {
			binary := filepath.Join(work, fmt.Sprintf("test%d", i))
			output, err := c.command(".", "go", "test", "-c", "-fuzz", ".", "-o", binary, "./"+dir)
			ahead <- linked{dir, binary, output, err}
		}
	}()
	return ahead
}

func (c *checker) fuzzOne(r *result, binary, dir, name, corpus string) {
	// Minimizing an input that reaches new code runs it for up to a minute, which
	// would be all the time of a slow target: a few tries must do.
	out, err := c.command(dir, binary, "-test.run", "^$", "-test.fuzz", "^"+name+"$",
		"-test.fuzztime", c.fuzzTime.String(), "-test.fuzzminimizetime", "10x", "-test.fuzzcachedir", corpus)
	if err != nil && !endedMidway(out) {
		fmt.Printf("FAIL %s %s\n%s", dir, name, out)
		r.fail("%s %s", dir, name)
		return
	}
	r.passed++
	executions := "the corpus only, 0 new"
	if counts := fuzzCount.FindAllStringSubmatch(out, -1); len(counts) > 0 {
		executions = counts[len(counts)-1][1]
	}
	fmt.Printf("ok   %s %s: %s executions\n", dir, name, executions)
}

// endedMidway reports whether the only problem is that the time ended while an
// input was running, which go test sometimes reports as a failure. A failing
// input is a real failure; its output names the file.
func endedMidway(out string) bool {
	return strings.Contains(out, "context deadline exceeded") && !strings.Contains(out, "Failing input")
}

// fuzzTargets finds the targets of this module, by folder.
func (c *checker) fuzzTargets() (map[string][]string, error) {
	files, err := c.command(".", "git", "ls-files", "--cached", "--others", "--exclude-standard", "*_test.go")
	if err != nil {
		return nil, err
	}
	targets := map[string][]string{}
	for file := range strings.FieldsSeq(files) {
		content, err := os.ReadFile(filepath.Join(c.root, file))
		if err != nil || strings.HasPrefix(file, "tools/") {
			continue
		}
		dir := filepath.ToSlash(filepath.Dir(file))
		for _, match := range fuzzTarget.FindAllSubmatch(content, -1) {
			targets[dir] = append(targets[dir], string(match[1]))
		}
	}
	return targets, nil
}
