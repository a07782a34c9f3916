// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/caddy-gluu/gateway/pathmatch"
	"github.com/caddy-gluu/gateway/scopeexpr"
)

// The tests in this file run docs/policies.md: its tables, its files, its
// commands with their output.

func readDocs(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tables returns the rows of the table with this header, cell by cell, and for
// each cell the texts in backticks.
func docsTable(t *testing.T, header string) [][][]string {
	t.Helper()
	_, rest, found := strings.Cut(readDocs(t), "\n"+header+"\n")
	if !found {
		t.Fatalf("docs/policies.md has no table %s", header)
	}
	var rows [][][]string
	for _, line := range strings.Split(rest, "\n")[1:] {
		if !strings.HasPrefix(line, "|") {
			break
		}
		var row [][]string
		for _, cell := range regexp.MustCompile(`(?:[^|\\]|\\.)+`).FindAllString(line, -1) {
			var code []string
			for _, match := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
				code = append(code, strings.ReplaceAll(match[1], `\|`, "|"))
			}
			row = append(row, code)
		}
		rows = append(rows, row)
	}
	if len(rows) < 3 {
		t.Fatalf("the table %s has %d rows", header, len(rows))
	}
	return rows
}

func TestDocsTableOfPaths(t *testing.T) {
	for _, row := range docsTable(t, "| pattern | protects | does not protect |") {
		s := &source{denyByDefault: true}
		e, err := scopeexpr.ParseShort("x")
		if err != nil {
			t.Fatal(err)
		}
		d := scopeexpr.Document{{Path: row[0][0], Conditions: []scopeexpr.Condition{{HTTPMethods: []string{"GET"}, ScopeExpression: e}}}}
		if s.policy, err = d.Compile(scopeexpr.Options{}); err != nil {
			t.Errorf("%s: %v", row[0][0], err)
			continue
		}
		for i, paths := range row[1:] {
			for _, path := range paths {
				r, err := parseRequest("GET "+path, pathmatch.Options{})
				if err != nil || r.bad != nil {
					t.Fatalf("%s: %v, %v", path, err, r.bad)
				}
				if got, want := s.decide(r, caller{scopes: []string{"x"}}).rule != nil, i == 0; got != want {
					t.Errorf("%s and %s: got %v, want %v", row[0][0], path, got, want)
				}
			}
		}
	}
}

func TestDocsTableOfExpressions(t *testing.T) {
	for _, row := range docsTable(t, "| expression | passes with | does not pass with |") {
		rule := policyOf(t, "GET /a "+row[0][0]).Find("GET", "/a")
		for i, scopes := range row[1:] {
			for _, text := range scopes {
				if got, want := rule.DecideSet(splitScopes(text)), i == 0; got != want {
					t.Errorf("%s with %s: got %v, want %v", row[0][0], text, got, want)
				}
			}
		}
	}
	for _, row := range docsTable(t, "| in a Caddyfile | `rule` | `data` |") {
		e, err := scopeexpr.ParseShort(row[0][0])
		if err != nil {
			t.Errorf("%s: %v", row[0][0], err)
			continue
		}
		data, err := json.Marshal(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		if string(e.Rule) != row[1][0] || string(data) != row[2][0] {
			t.Errorf("%s: got %s over %s, want %s over %s", row[0][0], e.Rule, data, row[1][0], row[2][0])
		}
	}
}

// TestDocsTablesOfRefusals: what a table calls refused is refused, and a
// complete replacement beside it loads.
func TestDocsTablesOfRefusals(t *testing.T) {
	text, _, _ := strings.Cut(readDocs(t), "## Ask before")
	if strings.Count(text, "| because | write instead |") != 3 {
		t.Fatal("there is another table of refusals")
	}
	load := func(path, rule string, data ...string) error {
		d := scopeexpr.Document{{Path: path, Conditions: []scopeexpr.Condition{{
			HTTPMethods: []string{"GET"}, ScopeExpression: &scopeexpr.Expression{Rule: json.RawMessage(rule), Data: data}}}}}
		_, err := d.Compile(scopeexpr.Options{})
		return err
	}
	check := func(what string, err error, refused bool) {
		t.Helper()
		if (err != nil) != refused {
			t.Errorf("%s: got %v, want it refused: %v", what, err, refused)
		}
	}
	for _, row := range docsTable(t, "| path | because | write instead |") {
		check(row[0][0], load(row[0][0], `{"var":0}`, "a"), true)
		if hint := row[2]; len(hint) > 0 && strings.HasPrefix(hint[0], "/") {
			check(hint[0], load(hint[0], `{"var":0}`, "a"), false)
		}
	}
	for _, row := range docsTable(t, "| rule | because | write instead |") {
		check(row[0][0], load("/a", row[0][0], "read", "write"), true)
		check(row[2][0], load("/a", row[2][0], "read", "write"), false)
	}
	for _, row := range docsTable(t, "| entry | because | write instead |") {
		for _, entry := range row[0] {
			check(entry, load("/?", `{"var":0}`, entry), true)
		}
	}
}

// TestDocsFilesAndCommands writes the files of the page into a folder, and runs
// its commands there.
func TestDocsFilesAndCommands(t *testing.T) {
	docs := readDocs(t)
	t.Chdir(t.TempDir())
	commands := 0
	for _, block := range regexp.MustCompile("(?ms)^```(\\w+)([^\n]*)\n(.*?)^```$").FindAllStringSubmatch(docs, -1) {
		language, name, body := block[1], strings.TrimSpace(block[2]), block[3]
		switch {
		case name != "":
			if err := os.WriteFile(name, []byte(body), 0o600); err != nil {
				t.Fatal(err)
			}
		case language == "yaml":
			if err := os.WriteFile("unnamed.yaml", []byte(body), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, code, err := execute(newTestCommand, "unnamed.yaml"); code != exitYes {
				t.Errorf("%s%s, exit code %d, error %v", body, out, code, err)
			}
		case language == "console":
			commands++
			runDocsCommand(t, body)
		case language != "sh":
			t.Errorf("no test checks this block:\n%s", block[0])
		}
	}
	if commands < 5 {
		t.Errorf("%d commands, want 5 or more", commands)
	}
	files, err := filepath.Glob("*.Caddyfile")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d Caddyfiles, %v", len(files), err)
	}
	for _, file := range files {
		if out, code, err := execute(newRulesCommand, "-p", file); code != exitYes || strings.Contains(out, "!") {
			t.Errorf("%s: exit code %d, error %v, output\n%s", file, code, err, out)
		}
	}
}

// runDocsCommand runs the command after the prompt and compares the rest.
func runDocsCommand(t *testing.T, body string) {
	t.Helper()
	prompt, want, _ := strings.Cut(body, "\n")
	line, ok := strings.CutPrefix(prompt, "$ caddy gluu ")
	if !ok {
		t.Fatalf("no command of ours: %s", prompt)
	}
	var args []string
	for _, match := range regexp.MustCompile(`"([^"]*)"|(\S+)`).FindAllStringSubmatch(line, -1) {
		args = append(args, match[1]+match[2])
	}
	all := map[string]func() *cobra.Command{"explain": newExplainCommand, "rules": newRulesCommand, "test": newTestCommand}
	got, _, _ := execute(all[args[0]], args[1:]...)
	if got != want {
		t.Errorf("%s\ngot\n%s\nwant\n%s", prompt, got, want)
	}
}
