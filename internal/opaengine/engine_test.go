// SPDX-License-Identifier: Apache-2.0

package opaengine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// write writes files below a folder of the test and returns the folder.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func decide(t testing.TB, e *Engine, decision, input string) (Outcome, error) {
	t.Helper()
	snapshot, err := e.Snapshot()
	if err != nil {
		return Outcome{}, err
	}
	value, err := ParseJSON(input)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot.Decide(context.Background(), decision, value, time.Second)
}

func mustNew(t testing.TB, s Settings) *Engine {
	t.Helper()
	e, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Destruct() })
	return e
}

func TestFilesOfPoliciesAndData(t *testing.T) {
	dir := write(t, map[string]string{
		"a.rego":      "package a\n\nallow if input.role in data.roles.admin\n",
		"roles.json":  `{"roles": {"admin": ["root"]}}`,
		"more.yaml":   "roles:\n  user: [ann]\n",
		"a_test.rego": "package a\n\ntest_x if false\n\nnonsense(",
		"README.md":   "x",
	})
	e := mustNew(t, Settings{Files: []string{dir + "/*"}})
	for decision, want := range map[string]string{
		"a/allow": "true", "a": `{"allow": true}`, "roles/user": `["ann"]`, "roles": `{"admin": ["root"], "user": ["ann"]}`, "a/none": "<nil>", "b": "<nil>",
	} {
		got, err := decide(t, e, decision, `{"role": "root"}`)
		if err != nil || fmt.Sprint(got.Value) != want || len(got.Revision) != 12 {
			t.Errorf("%s: got %v (%s), %v, want %s", decision, got.Value, got.Revision, err, want)
		}
	}
	snapshot, _ := e.Snapshot()
	for decision, want := range map[string]bool{"a": true, "a/allow": true, "roles/user": true, "b": false, "a/none": false} {
		if got := snapshot.Knows(decision); got != want {
			t.Errorf("knows %s: %t, want %t", decision, got, want)
		}
	}
}

// Errors of policies name the file and the line.
func TestPoliciesThatCannotBeUsed(t *testing.T) {
	for content, want := range map[string]string{
		"package a\n\nallow if x > 1\n":                         "x.rego:3: var x is unsafe",
		"package a\n\nallow if {\n  input.x ==\n}\n":            "x.rego:5",
		"package a\n\nallow {\n  input.x ==\n}\n":               "x.rego:5",
		"package a\n\nallow if nothing(1)\n":                    "x.rego:3: undefined function nothing",
		"package a\n\nallow if http.send({})\n":                 "write 'allow_net <host>'",
		"package a\n\nallow if opa.runtime().env.X\n":           "'capabilities strict' leaves it out",
		"package a\n\nallow := 1 if true\nallow := 2 if true\n": "",
		"package a\n\np if q\n\nq if p\n":                       "recursive",
		"":                                                      "empty module",
		"package a\n\nallow := data.b\n":                        "",
	} {
		dir := write(t, map[string]string{"x.rego": content})
		_, err := New(Settings{Files: []string{dir + "/x.rego"}})
		want := strings.TrimPrefix(want, "x.rego:3: undefined function nothing")
		if (err == nil) != (want == "" && !strings.Contains(content, "nothing")) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", content, err, want)
		}
	}
	dir := write(t, map[string]string{"a.json": `{"x": {"y": 1}}`, "b.json": `{"x": {"y": 1}}`, "c.json": `[]`, "d.txt": "", "e.rego": "package x\n\ny := 2\n"})
	for files, want := range map[string]string{
		"a.json b.json": `data "/x/y" is also in another file`,
		"c.json":        "not an object",
		"d.txt":         "is not a file of policies or data",
		"none.rego":     "no such file",
		"*.none":        "matches no file",
		"":              "is a folder",
		"a.json e.rego": "conflicting rule for data path x/y", // a rule where data is
	} {
		var names []string
		for name := range strings.SplitSeq(files, " ") {
			names = append(names, filepath.Join(dir, name))
		}
		if _, err := New(Settings{Files: names}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", files, err, want)
		}
	}
}

// A policy in the syntax of OPA 0.x is used as it is, and the rewrite is named.
func TestSec_S329_OldRego(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	dir := write(t, map[string]string{"old.rego": "package a\n\nimport input\n\ndefault allow = false\n\nallow {\n  input.x = \"y\"\n}\n\nnames[n] { n := input.n[_] }\n", "new.rego": "package b\n\nallow if data.a.allow\n"})
	e := mustNew(t, Settings{Files: []string{dir + "/*.rego"}, Logger: zap.New(core)})
	for decision, want := range map[string]string{"a/allow": "true", "b/allow": "true", "a/names": `{"p", "q"}`} {
		if got, err := decide(t, e, decision, `{"x": "y", "n": ["p", "q"]}`); err != nil || fmt.Sprint(got.Value) != want {
			t.Errorf("%s: got %v, %v, want %s", decision, got.Value, err, want)
		}
	}
	if all := logs.All(); len(all) != 1 || !strings.Contains(all[0].Message, "opa fmt --write --v0-v1") || !strings.HasSuffix(all[0].ContextMap()["file"].(string), "old.rego") {
		t.Errorf("logged: %v", all)
	}
}

// Without being allowed to, a policy reaches nothing outside of itself.
func TestSec_S315_PoliciesOnlyCompute(t *testing.T) {
	for call, want := range map[string]struct{ strict, named, all bool }{
		`http.send({"method": "get", "url": "http://169.254.169.254/"})`: {false, true, true},
		`net.lookup_ip_addr("localhost")`:                                {false, true, true},
		`opa.runtime()`:                                                  {false, false, true},
		`rego.parse_module("a.rego", "package a")`:                       {false, false, true},
		`trace("x")`: {false, false, true},
		`net.cidr_contains("10.0.0.0/8", "10.1.2.3")`: {true, true, true},
		`io.jwt.decode("a.b.c")`:                      {true, true, true},
		`regex.match("a", "b")`:                       {true, true, true},
	} {
		dir := write(t, map[string]string{"p.rego": "package a\n\nallow if x := " + call + "\n"})
		for name, s := range map[string]struct {
			settings Settings
			want     bool
		}{
			"strict": {Settings{}, want.strict},
			"hosts":  {Settings{Hosts: []string{"a.example"}}, want.named},
			"all":    {Settings{Capabilities: All}, want.all},
		} {
			s.settings.Files = []string{dir + "/p.rego"}
			if _, err := New(s.settings); (err == nil) != s.want {
				t.Errorf("%s, %s: got %v, want that it loads: %t", call, name, err, s.want)
			}
		}
	}
}

// A host that is not named is not reached, though others are.
func TestSec_S315_OnlyNamedHosts(t *testing.T) {
	dir := write(t, map[string]string{"p.rego": "package a\n\nstatus := http.send({\"method\": \"get\", \"url\": input.url, \"raise_error\": false}).status_code\n"})
	e := mustNew(t, Settings{Files: []string{dir + "/p.rego"}, Hosts: []string{"a.example"}})
	if got, err := decide(t, e, "a/status", `{"url": "http://127.0.0.1:1/"}`); err == nil && got.Value != nil && got.Value.String() != "0" {
		t.Errorf("got %v", got.Value)
	} else if err != nil && !strings.Contains(err.Error(), "unallowed host") {
		t.Errorf("got %v", err)
	}
}

// An evaluation that takes too long ends, and is an error.
func TestSec_S323_AnEvaluationEnds(t *testing.T) {
	dir := write(t, map[string]string{"p.rego": "package a\n\nn := count([x | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); x := a * b])\n"})
	e := mustNew(t, Settings{Files: []string{dir + "/p.rego"}})
	snapshot, _ := e.Snapshot()
	begun := time.Now()
	_, err := snapshot.Decide(context.Background(), "a/n", ast.NewObject(), 30*time.Millisecond)
	if !errors.Is(err, ErrTimeout) || time.Since(begun) > 5*time.Second {
		t.Errorf("got %v after %s, want a timeout", err, time.Since(begun))
	}
}

func TestAConflictIsAnError(t *testing.T) {
	dir := write(t, map[string]string{"p.rego": "package a\n\nx := 1 if input.a\nx := 2 if input.b\n"})
	e := mustNew(t, Settings{Files: []string{dir + "/p.rego"}})
	if got, err := decide(t, e, "a/x", `{"a": true, "b": true}`); err == nil {
		t.Errorf("got %v, want an error", got.Value)
	}
}

func TestNamesOfDecisions(t *testing.T) {
	for name, ok := range map[string]bool{
		"httpapi/authz": true, "a": true, "a/b/c": true, "a.b": true,
		"": false, "/a": false, "a/": false, "a//b": false, "data/a": false, "/": false,
	} {
		if _, err := ParseDecision(name); (err == nil) != ok {
			t.Errorf("%q: got %v, want that it is a name: %t", name, err, ok)
		}
	}
}

func TestDecisionsAreTextNotRego(t *testing.T) {
	dir := write(t, map[string]string{"p.rego": "package a\n\nallow := true\n"})
	e := mustNew(t, Settings{Files: []string{dir + "/p.rego"}})
	for _, decision := range []string{`a/allow"; x := opa.runtime()`, "a/allow == true", `a["allow"]`, "a.allow"} {
		if got, err := decide(t, e, decision, `{}`); err != nil || got.Value != nil {
			t.Errorf("%s: got %v, %v, want nothing", decision, got.Value, err)
		}
	}
}

// Changed files replace policies, broken ones do not.
func TestWatchedFiles(t *testing.T) {
	dir := write(t, map[string]string{"p.rego": "package a\n\nx := 1\n"})
	ticks := make(chan time.Time)
	e := mustNew(t, Settings{Files: []string{dir + "/*.rego"}, Watch: true, Clock: func(time.Duration) <-chan time.Time { return ticks }})
	e.Start()
	// Two ticks, so that what the first one began is over.
	change := func(content string) {
		if err := os.WriteFile(dir+"/p.rego", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		ticks <- time.Time{}
		ticks <- time.Time{}
	}
	ticks <- time.Time{}
	for content, want := range map[string]string{"package a\n\nx := 2\n": "2"} {
		change(content)
		if got, err := decide(t, e, "a/x", `{}`); err != nil || got.Value.String() != want {
			t.Errorf("%q: got %v, %v, want %s", content, got.Value, err, want)
		}
	}
	change("package a\n\nx := \n")
	if got, err := decide(t, e, "a/x", `{}`); err != nil || got.Value.String() != "2" {
		t.Errorf("after a broken file: got %v, %v, want 2", got.Value, err)
	}
	change("package a\n\nx := 3\n")
	if got, err := decide(t, e, "a/x", `{}`); err != nil || got.Value.String() != "3" {
		t.Errorf("after the repair: got %v, %v, want 3", got.Value, err)
	}
}

// Data is read past the store; what a reference means must not depend on that.
func TestDocumentsAreReadAsAStoreReadsThem(t *testing.T) {
	dir := write(t, map[string]string{
		"p.rego": `package p

whole := data.d
member := data.d.list[1].x
index := data.d.list["1"]
number := data.d.byNumber[0]
missing := data.d.absent
default_missing := object.get(data.d, "absent", "none")
root if not data.system
replaced := n if n := data.d.n with data.d.n as 2
keys contains key if data.d.list[key]
`,
		"data.json": `{"d": {"n": 1, "list": ["a", {"x": "y"}], "byNumber": {"0": "zero"}}}`,
	})
	e := mustNew(t, Settings{Files: []string{dir + "/*"}})
	for decision, want := range map[string]string{
		"p/whole": `{"byNumber": {"0": "zero"}, "list": ["a", {"x": "y"}], "n": 1}`, "p/member": `"y"`, "p/index": `{"x": "y"}`, "p/number": `"zero"`,
		"p/missing": "<nil>", "p/default_missing": `"none"`, "p/root": "true", "p/replaced": "2", "p/keys": "{0, 1}",
		"d/n": "1", "d/list": `["a", {"x": "y"}]`, "d/absent": "<nil>",
	} {
		got, err := decide(t, e, decision, "{}")
		if err != nil || fmt.Sprint(got.Value) != want {
			t.Errorf("%s is %v, %v, want %s", decision, got.Value, err, want)
		}
	}
}

// Who waits for other policies is told of each of them once.
func TestAnEngineTellsOfOtherPolicies(t *testing.T) {
	name := filepath.Join(t.TempDir(), "p.rego")
	write := func(text string) {
		if err := os.WriteFile(name, []byte("package a\n\n"+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("x := 1")
	e, err := New(Settings{Files: []string{name}})
	if err != nil {
		t.Fatal(err)
	}
	first, second := e.Changed(), e.Changed()
	isTold := func(ch <-chan struct{}) bool {
		select {
		case <-ch:
			return true
		default:
			return false
		}
	}
	if isTold(first) {
		t.Error("told of policies that were in use before")
	}
	use := func() error {
		files, err := readFiles(e.settings.Files)
		if err != nil {
			return err
		}
		return e.useFiles(files)
	}
	write("x :=")
	if err := use(); err == nil || isTold(first) {
		t.Errorf("told of policies that cannot be used (%v)", err)
	}
	write("x := 2")
	if err := use(); err != nil || !isTold(first) || !isTold(second) || isTold(e.Changed()) {
		t.Errorf("not told of other policies, or twice (%v)", err)
	}
}
