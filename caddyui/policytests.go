// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/semaphore"

	"github.com/caddy-gluu/gateway/cli"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// policyTests are the test files that the configuration names, and what they found.
type policyTests struct {
	Files   []string
	File    string // that was chosen
	Case    string // the last try as a case of a test file, "" if nothing was tried
	CanSave bool
	Saved   string // file to which the case was added
	Problem string

	Runs   []*testRun // nil as long as they were not run
	Drafts []string   // names of the drafts that decided too
}

// testRun is what the cases of a file got.
type testRun struct {
	File    string
	Problem string
	Cases   []testedCase // those that failed, or that a draft decides differently
	Passed  int          // by the policies that the file names
	Failed  int
	CutOff  int // cases that are not listed
}

// testedCase is a case with what the drafts make of it.
type testedCase struct {
	cli.TestResult
	Drafts []cli.TestResult
}

// Bounds of what is read and listed.
const (
	maxTestFiles    = 100
	maxTestFileSize = 4 << 20
	casesListed     = 200
)

// testFileLock lets one request at a time run or change test files.
var testFileLock = semaphore.NewWeighted(1)

// testFiles are the files that the patterns of the configuration match, sorted.
func (u *UI) testFiles() (files []string) {
	for _, pattern := range u.TestFiles {
		found, _ := filepath.Glob(pattern) // the pattern was checked
		for _, file := range found {
			if isTestFile(file) && !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	slices.Sort(files)
	return files[:min(len(files), maxTestFiles)]
}

func isTestFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular() && info.Size() <= maxTestFileSize && (strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml"))
}

// completeTests adds to a page what does not depend on the form.
func (v *visit) completeTests(page *playground) {
	if page.Tests == nil {
		page.Tests = new(policyTests)
	}
	page.Tests.Files = v.testFiles()
	page.Tests.CanSave = v.visitor.role >= admin && v.mayEdit("policies")
}

// asCase writes the try as a case of a test file: as the first draft decides it, or else
// as the gateway does.
func (page *playground) asCase(hasToken bool) string {
	for i := range page.Drafts {
		if r := page.Drafts[i].Result; r != nil {
			c := cli.TestCase{Request: page.Request, Scopes: strings.Fields(page.Scopes), Want: r.Decision, Rule: r.Rule}
			for _, capture := range r.Captures {
				if capture.Present {
					c.Captures = append(c.Captures, &capture.Value)
				} else {
					c.Captures = append(c.Captures, nil)
				}
			}
			return writeCase(&c)
		}
	}
	live := page.Live
	if live == nil || live.Caller == nil || live.Decision.DecidedBy != "" || hasToken && live.Caller.Refused != nil {
		return "" // not one that scopes decide
	}
	c := cli.TestCase{Request: page.Request, NoToken: !hasToken, Scopes: live.Caller.Grants, Want: live.Decision.Decision, Rule: live.Decision.Rule}
	return writeCase(&c)
}

// writeCase writes a case, "" for one that no file can hold: forms can send any byte.
func writeCase(c *cli.TestCase) string {
	text, err := c.YAML()
	if err != nil {
		return ""
	}
	return text
}

// runTests runs the test files, and has the drafts decide their cases, too.
func runTests(v *visit) error {
	page := v.playgroundOf()
	_ = page.decide() // what was tried before stays on the page
	if err := testFileLock.Acquire(v.r.Context(), 1); err != nil {
		return errAnswered // the browser has gone
	}
	defer testFileLock.Release(1)
	if v.runTestsOn(page, v.testFiles()); v.r.Context().Err() != nil {
		return errAnswered
	}
	return v.showPlaygroundPage(http.StatusOK, page)
}

func (v *visit) runTestsOn(page *playground, files []string) {
	var drafts []scopeexpr.Document
	for i := range page.Drafts {
		if d := &page.Drafts[i]; d.document != nil {
			drafts = append(drafts, d.document)
			page.Tests.Drafts = append(page.Tests.Drafts, d.Name)
		}
	}
	page.Tests.Runs = []*testRun{}
	for _, file := range files {
		if v.r.Context().Err() != nil {
			return // the browser has gone, and the next one waits
		}
		page.Tests.Runs = append(page.Tests.Runs, runTestFile(file, drafts))
	}
}

// runTestFile runs a file by its policies, and by drafts in their place.
func runTestFile(file string, drafts []scopeexpr.Document) *testRun {
	run := &testRun{File: file}
	results, err := cli.RunTestFile(file, nil)
	byDraft := make([][]cli.TestResult, len(drafts))
	for i := range drafts {
		if err == nil {
			byDraft[i], err = cli.RunTestFile(file, drafts[i])
		}
	}
	if err != nil {
		// The message can quote a configuration, and with it a secret.
		run.Problem = "It cannot be run. On the gateway's machine caddy gluu test says why."
		return run
	}
	for i := range results {
		run.add(results[i], byDraft, i)
	}
	return run
}

func (run *testRun) add(r cli.TestResult, byDraft [][]cli.TestResult, i int) {
	c := testedCase{TestResult: r}
	isNotable := !r.Pass
	for _, results := range byDraft {
		if i < len(results) {
			c.Drafts = append(c.Drafts, results[i])
			isNotable = isNotable || results[i].Got != "" && !results[i].Pass
		}
	}
	if r.Pass {
		run.Passed++
	} else {
		run.Failed++
	}
	if r.Got == "refused" && !r.Pass {
		c.Reason = "its policy does not load: caddy gluu test says why" // likewise
	}
	switch {
	case !isNotable:
	case len(run.Cases) < casesListed:
		run.Cases = append(run.Cases, c)
	default:
		run.CutOff++
	}
}

// saveTest adds the case of the form to a test file, and runs that file.
func saveTest(v *visit) error {
	page := v.playgroundOf()
	_ = page.decide() // what was tried before stays on the page
	if err := testFileLock.Acquire(v.r.Context(), 1); err != nil {
		return errAnswered // the browser has gone
	}
	defer testFileLock.Release(1)
	if !slices.Contains(v.testFiles(), page.Tests.File) {
		page.Tests.Problem = "Choose one of the test files that the configuration names."
		return v.showPlaygroundPage(http.StatusBadRequest, page)
	}
	if err := cli.AddTestCase(page.Tests.File, page.Tests.Case); err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, cli.ErrSameCase) {
			status = http.StatusConflict
		}
		page.Tests.Problem = sentence(err.Error())
		return v.showPlaygroundPage(status, page)
	}
	v.changed("policy test saved", page.Tests.File)
	page.Tests.Saved = page.Tests.File
	v.runTestsOn(page, []string{page.Tests.File})
	return v.showPlaygroundPage(http.StatusOK, page)
}
