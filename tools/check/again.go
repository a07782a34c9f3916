// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// mostAgain is how many tests are run a second time: more of them at once are
// not the machine's doing.
const mostAgain = 4

// goTestAgain runs go test, and the few tests that failed once more, by
// themselves: many tests share few cores, and one that waits for a condition
// may have waited in vain. A test that passes then is not a failure, but it is
// named in a loud line. What fails without a name, for example a package that
// does not compile or a data race outside a test, fails at once.
func (c *checker) goTestAgain(perTest bool, flags []string, packages ...string) result {
	r := c.goTest(perTest, slices.Concat(flags, packages)...)
	tests, ok := topLevel(r.failed)
	if !ok {
		return r
	}
	var still []string
	for _, pkg := range slices.Sorted(maps.Keys(tests)) {
		pattern := "^(" + strings.Join(tests[pkg], "|") + ")$"
		fmt.Printf("\n=== once more, alone: %s %s\n", pkg, pattern)
		again := c.goTest(perTest, slices.Concat(flags, []string{"-count=1", "-run", pattern, "./" + pkg})...)
		still = append(still, again.failed...)
		if len(again.failed) == 0 {
			for _, test := range tests[pkg] {
				r.unsteady = append(r.unsteady, fmt.Sprintf("%s %s failed beside other tests and passed alone", pkg, test))
				r.passed++
			}
		}
	}
	r.failed = still
	return r
}

// topLevel returns the tests behind the failures "package Test/Sub", by package.
// It reports false if there is nothing to run again.
func topLevel(failed []string) (tests map[string][]string, ok bool) {
	tests = map[string][]string{}
	count := 0
	for _, line := range failed {
		pkg, test, found := strings.Cut(line, " ")
		if !found || !strings.HasPrefix(test, "Test") {
			return nil, false
		}
		test, _, _ = strings.Cut(test, "/")
		if !slices.Contains(tests[pkg], test) {
			tests[pkg] = append(tests[pkg], test)
			count++
		}
	}
	return tests, count > 0 && count <= mostAgain
}
