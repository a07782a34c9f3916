// SPDX-License-Identifier: Apache-2.0

// Command check runs every check of the gateway, stage by stage, and ends
// with a summary: how long each stage took, what failed, and, in loud lines,
// what was skipped on this machine and why.
//
//	go -C tools run ./check [-fuzztime 4s] [stage...]
//
// Without stages it runs all of them, even after one has failed. It needs
// bin/caddy, which the build command writes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/caddy-gluu/gateway/tools/internal/repo"
)

// A stage is one kind of check.
type stage struct {
	name string
	what string
	run  func(*checker) result
}

var stages = []stage{
	{"format", "gofmt, licence headers", (*checker).format},
	{"vet", "go vet", (*checker).vet},
	{"staticcheck", "staticcheck", (*checker).staticcheck},
	{"golangci", "the linters of .golangci.yml", (*checker).golangci},
	{"govulncheck", "known vulnerabilities of what is built in", (*checker).govulncheck},
	{"unit", "unit tests", (*checker).unit},
	{"fuzz", "seconds of every fuzz target", (*checker).fuzz},
	{"policy", "policy tests of the examples", (*checker).policy},
	{"release", "packages, image and chart, installed and started", (*checker).release},
	{"e2e", "the built binary against real servers", (*checker).e2e},
}

// A result is what a stage found.
type result struct {
	passed   int
	failed   []string // one line each
	skipped  []string // one line each, with the reason
	unsteady []string // one line each: failed, and passed when run again alone
	note     string
}

func (r *result) fail(format string, args ...any) {
	r.failed = append(r.failed, fmt.Sprintf(format, args...))
}

// A checker is what all stages share.
type checker struct {
	ctx      context.Context
	root     string
	fuzzTime time.Duration
}

func main() {
	fuzzTime := flag.Duration("fuzztime", 4*time.Second, "how long each fuzz target runs")
	flag.Usage = usage
	flag.Parse()
	for _, name := range flag.Args() {
		if !slices.ContainsFunc(stages, func(s stage) bool { return s.name == name }) {
			fmt.Fprintf(os.Stderr, "check: unknown stage %q\n", name)
			usage()
			os.Exit(2)
		}
	}
	root, err := repo.Root()
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	c := &checker{ctx: ctx, root: root, fuzzTime: *fuzzTime}
	if !c.runAll(flag.Args()) {
		stop()
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: check [-fuzztime DURATION] [STAGE...]\n\nStages, in this order:")
	for _, s := range stages {
		fmt.Fprintf(os.Stderr, "  %-12s %s\n", s.name, s.what)
	}
}

// runAll runs the named stages, or all, and prints the summary.
func (c *checker) runAll(names []string) bool {
	var summary strings.Builder
	var passed int
	var failures, skips, unsteady []string
	for _, s := range stages {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		if c.ctx.Err() != nil {
			failures = append(failures, s.name+": interrupted")
			break
		}
		fmt.Printf("\n=== %s: %s\n", s.name, s.what)
		started := time.Now()
		r := s.run(c)
		verdict := "ok"
		if len(r.failed) > 0 {
			verdict = "FAILED"
		}
		fmt.Fprintf(&summary, "  %-12s %-7s %6s  %4d passed %3d failed %3d skipped  %s\n", s.name, verdict,
			time.Since(started).Round(time.Second), r.passed, len(r.failed), len(r.skipped), r.note)
		passed += r.passed
		for _, line := range r.failed {
			failures = append(failures, s.name+": "+line)
		}
		for _, line := range r.skipped {
			skips = append(skips, s.name+": "+line)
		}
		for _, line := range r.unsteady {
			unsteady = append(unsteady, s.name+": "+line)
		}
	}

	fmt.Printf("\n=== summary\n%s", summary.String())
	for _, line := range skips {
		fmt.Printf("!!! SKIPPED %s\n", line)
	}
	for _, line := range unsteady {
		fmt.Printf("!!! UNSTEADY %s\n", line)
	}
	for _, line := range failures {
		fmt.Printf("!!! FAILED %s\n", line)
	}
	fmt.Printf("total: %d passed, %d failed, %d skipped\n", passed, len(failures), len(skips))
	return len(failures) == 0
}
