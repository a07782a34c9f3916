// SPDX-License-Identifier: Apache-2.0

package opaengine

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// What keeps newer policies from being used is told until they are used.
func TestStatusOfWatchedFiles(t *testing.T) {
	dir := write(t, map[string]string{"p.rego": "package a\n\nx := 1\n"})
	ticks := make(chan time.Time)
	e := mustNew(t, Settings{Files: []string{dir + "/*.rego"}, Watch: true, Clock: func(time.Duration) <-chan time.Time { return ticks }})
	e.Start()
	step := func(content string) {
		t.Helper()
		err := os.Remove(dir + "/p.rego")
		if content != "" {
			err = os.WriteFile(dir+"/p.rego", []byte(content), 0o600)
		}
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		ticks <- time.Time{}
		ticks <- time.Time{} // what the first one began is over
	}
	ticks <- time.Time{}
	first := e.Status()
	if !first.Ready || first.Modules != 1 || first.Revision == "" || first.Since.IsZero() || first.Problem != nil || !first.Watched || first.Age != 0 {
		t.Fatalf("got %+v", first)
	}
	for _, c := range []struct{ content, problem string }{
		{"package a\n\nx := \n", "p.rego:4: "},
		{"", "matches no file"},
		{"package a\n\nx := \n", "p.rego:4: "}, // as before it was removed
		{"package a\n\nx := 1\n", ""},
		{"", "matches no file"},
		{"package a\n\nx := 1\n", ""}, // the same that decides all the time
	} {
		step(c.content)
		got := e.Status()
		switch {
		case c.problem == "" && got.Problem != nil:
			t.Errorf("%q: got the problem %+v", c.content, got.Problem)
		case c.problem != "" && (got.Problem == nil || !strings.Contains(got.Problem.Error, c.problem)):
			t.Errorf("%q: got the problem %+v, want %s", c.content, got.Problem, c.problem)
		case got.Revision != first.Revision || !got.Ready:
			t.Errorf("%q: got %+v, want the first policies to go on", c.content, got)
		}
	}
}

func TestStatusOfBundles(t *testing.T) {
	server, s := newBundleServer(t), p256(t)
	server.set(500, pack(t, s, "one", "package a\n\nx := 1\n"))
	e := following(t, server.URL+"/secret-path/a.tar.gz?signature=secret-query", s, nil)
	await(t, "the failure", func() bool { return e.Status().Bundles[0].Problem != nil })
	if got := e.Status(); got.Ready || got.Bundles[0].Problem.Error != "the server answers with status 500" || !got.Bundles[0].Checked.IsZero() {
		t.Errorf("before the first bundle: got %+v", got)
	}
	server.set(200, pack(t, s, "one", "package a\n\nx := 1\n"))
	await(t, "the first", func() bool { return e.Status().Bundles[0].Problem == nil })
	got := e.Status()
	if b := got.Bundles[0]; !got.Ready || got.Revision != "one" || b.Revision != "one" || b.Checked.IsZero() || b.Server != server.URL {
		t.Errorf("with the first bundle: got %+v", got)
	}
	server.set(200, pack(t, nil, "two", "package a\n\nx := 2\n"))
	await(t, "that the unsigned one is refused", func() bool { return e.Status().Bundles[0].Problem != nil })
	got = e.Status()
	if got.Revision != "one" || got.Bundles[0].Revision != "one" || !strings.Contains(got.Bundles[0].Problem.Error, "the bundle cannot be used") {
		t.Errorf("with an unsigned one: got %+v", got)
	}
	if text, err := json.Marshal(got); err != nil || strings.Contains(string(text), "secret-") {
		t.Errorf("got %s, %v", text, err)
	}
}

// An address may have a secret behind the server, and errors of clients quote it whole.
func TestProblemsNameServersAlone(t *testing.T) {
	for text, want := range map[string]string{
		`request failed: Get "https://bundles.example/t/s3cret/b.tar.gz?sig=s3cret": dial tcp: refused`: `request failed: Get "https://bundles.example": dial tcp: refused`,
		"https://user:s3cret@bundles.example/b: 404":                                                    "https://bundles.example: 404",
		"two: http://a.example:8181/x, http://b.example/y?z=1.":                                         "two: http://a.example:8181, http://b.example.",
		"no address: rego_parse_error at policy.rego:3":                                                 "no address: rego_parse_error at policy.rego:3",
	} {
		var p problems
		p.note("main", time.Now(), errors.New(text))
		if got := p.of("main").Error; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
