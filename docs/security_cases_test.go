// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

var (
	securityTest = regexp.MustCompile(`(?m)^func (TestSec_(?:S\d+_?)+\w*)\(`)
	caseNumber   = regexp.MustCompile(`S\d{2,3}`)
	citedCase    = regexp.MustCompile(`\bS-(\d{2,3})\b`)
	caseRow      = regexp.MustCompile(`(?m)^\| (S\d{2,3}) \| (.+) \| (.+) \| (.+) \|$`)
	testName     = regexp.MustCompile("`(TestSec_\\w+)`")
)

// Every number in the name of a test (S01) or in a comment (S-01) has its line
// on the page about security cases, and every line names tests that exist and
// have its number.
func TestEverySecurityCaseHasItsLine(t *testing.T) {
	content, err := os.ReadFile("security-cases.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := securityTests(t)
	rows := map[string]bool{}
	for _, row := range caseRow.FindAllStringSubmatch(string(content), -1) {
		number, named := row[1], testName.FindAllStringSubmatch(row[4], -1)
		if rows[number] {
			t.Errorf("%s has two lines", number)
		}
		rows[number] = true
		if len(named) == 0 {
			t.Errorf("the line of %s names no test", number)
		}
		for _, name := range named {
			if !slices.Contains(tests[name[1]], number) {
				t.Errorf("the line of %s names %s, which does not exist or has another number", number, name[1])
			}
		}
	}
	for name, numbers := range tests {
		for _, number := range numbers {
			if !rows[number] {
				t.Errorf("%s: security-cases.md has no line for %s", name, number)
			}
		}
	}
	for file, source := range files(t, "_test.go") {
		for _, cited := range citedCase.FindAllStringSubmatch(source, -1) {
			if !rows["S"+cited[1]] {
				t.Errorf("%s cites S-%s: security-cases.md has no line for it", file, cited[1])
			}
		}
	}
	if len(tests) < 80 || len(rows) < 50 {
		t.Errorf("%d tests and %d lines were found", len(tests), len(rows))
	}
}

// securityTests returns the numbers in the names of all tests of the
// repository that have one.
func securityTests(t *testing.T) map[string][]string {
	t.Helper()
	tests := map[string][]string{}
	for _, source := range files(t, "_test.go") {
		for _, match := range securityTest.FindAllStringSubmatch(source, -1) {
			tests[match[1]] = caseNumber.FindAllString(match[1], -1)
		}
	}
	return tests
}
