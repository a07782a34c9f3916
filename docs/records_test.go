// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every reason code and every metric of the code is on the page about records,
// and the page names none that does not exist.
func TestRecordsAreDocumented(t *testing.T) {
	content, err := os.ReadFile("records.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(content)
	reasons := matches(t, `(?m)^\s+(?:Reason\w+\s+=|\w+\s+Reason =) "([a-z_]+)"`)
	metrics := matches(t, `(?:Name:\s*|NewDesc\(|vector\(|counter\()"(gluu_[a-z_]+)"`)
	metrics["gluu_openid_connect_users_authenticated"] = true
	for _, kind := range []string{"oauth", "uma"} {
		metrics["gluu_"+kind+"_client_authenticated"] = true
		metrics["gluu_"+kind+"_client_granted"] = true
	}
	metrics["gluu_opa_client_granted"] = true
	if len(reasons) < 16 || len(metrics) < 13 {
		t.Fatalf("the code seems to have %d reasons and %d metrics", len(reasons), len(metrics))
	}
	rows := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(page, -1) {
		rows[row[1]] = true
	}
	for _, known := range []map[string]bool{reasons, metrics} {
		for name := range known {
			if !rows[name] {
				t.Errorf("records.md has no row about %s", name)
			}
		}
	}
	for name := range rows {
		if strings.HasPrefix(name, "gluu_") && !metrics[name] && !strings.HasPrefix(name, "gluu_oauth_server_") {
			t.Errorf("records.md is about %s, which is not in the code", name)
		}
	}
}

// matches returns what the group of an expression matches in the code, tests
// left out.
func matches(t *testing.T, expression string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for file, source := range files(t, ".go") {
		if strings.HasSuffix(file, "_test.go") || strings.Contains(file, "internal/authcore/") {
			continue // the page of gluu_oauth_server has the reasons of the authorization server
		}
		for _, match := range regexp.MustCompile(expression).FindAllStringSubmatch(source, -1) {
			found[match[1]] = true
		}
	}
	return found
}
