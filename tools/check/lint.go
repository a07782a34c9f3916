// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func (c *checker) vet() result { return c.each("go", "vet", "./...") }

func (c *checker) staticcheck() result {
	return c.lint("honnef.co/go/tools/cmd/staticcheck", "./...")
}

// golangci runs the linters that .golangci.yml names.
func (c *checker) golangci() result {
	return c.lint("github.com/golangci/golangci-lint/v2/cmd/golangci-lint", "run", "./...")
}

// lint runs a linter in both modules.
func (c *checker) lint(tool string, args ...string) result {
	binary, r := c.tool(tool)
	if len(r.failed) > 0 {
		return r
	}
	return c.each(binary, args...)
}

// tool builds a program in the version that tools/go.mod pins.
func (c *checker) tool(pkg string) (binary string, r result) {
	binary = filepath.Join(c.root, ".cache", filepath.Base(pkg))
	if out, err := c.command("tools", "go", "build", "-o", binary, pkg); err != nil {
		fmt.Print(out)
		r.fail("building %s: %v", filepath.Base(pkg), err)
	}
	return binary, r
}

// govulncheck looks up the modules that the gateway is built from in Go's
// vulnerability database. Tests must also run where the database cannot be
// reached, so that is a part left out, not a failure.
func (c *checker) govulncheck() result {
	if err := c.vulnerabilityDatabase(); err != nil {
		return result{skipped: []string{unreachable(err)}}
	}
	binary, r := c.tool("golang.org/x/vuln/cmd/govulncheck")
	if len(r.failed) > 0 {
		return r
	}
	// Only the gateway is shipped. What its build tools depend on is not.
	out, err := c.command(".", binary, "./...")
	if err != nil && strings.Contains(out, "fetching vulnerabilities:") {
		r.skipped = append(r.skipped, unreachable(errors.New(strings.TrimSpace(out))))
		return r
	}
	fmt.Print(out)
	if err != nil {
		r.fail("govulncheck: %v", err)
		return r
	}
	r.passed++
	return r
}

func unreachable(err error) string {
	return fmt.Sprintf("govulncheck: KNOWN VULNERABILITIES WERE NOT CHECKED: the vulnerability database cannot be reached: %v", err)
}

// vulnerabilityDatabase asks whether the database answers, because
// govulncheck itself finds out only after it has loaded all packages.
func (c *checker) vulnerabilityDatabase() error {
	out, err := exec.CommandContext(c.ctx, "go", "env", "GOVULNDB").Output()
	if err != nil {
		return fmt.Errorf("go env GOVULNDB: %w", err)
	}
	database := strings.TrimSpace(string(out))
	if database == "" {
		database = "https://vuln.go.dev"
	}
	if !strings.HasPrefix(database, "http") {
		return nil // a folder of this machine
	}
	ctx, cancel := context.WithTimeout(c.ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, database+"/index/db.json", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", database, response.Status)
	}
	return nil
}
