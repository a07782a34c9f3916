// SPDX-License-Identifier: Apache-2.0

// Package fuzz_test fuzzes the adapter alone. The fuzzing engine compares the
// coverage of everything that is linked after each run, and sends it from process
// to process: beside the whole gateway, which the other tests of the adapter load,
// that takes a hundred times as long as to adapt a file.
package fuzz_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-gluu/gateway/kongconfig"
)

func FuzzAdapt(f *testing.F) {
	for _, file := range []string{
		`{"_format_version":"2.1","routes":[{"paths":["/\\d+"]}]}`,
		"_format_version: '3.0'\na: &a {b: *a}\n",
		"_format_version: '1.1'\n<<: [*x]\n",
		"_format_version: '3.0'\nupstreams: [{name: u, targets: [{target: 'h:1'}]}]\n",
		"_format_version: '3.0'\nplugins: [{name: cors}, {name: acl, config: {allow: [a]}}]\n",
	} {
		f.Add([]byte(file))
	}
	addPublished(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		adapter := kongconfig.Adapter{Getenv: func(string) string { return "" }}
		first, warnings, err := adapter.Adapt(body, nil)
		second, others, again := adapter.Adapt(body, nil)
		if !bytes.Equal(first, second) || fmt.Sprint(err) != fmt.Sprint(again) || fmt.Sprint(warnings) != fmt.Sprint(others) {
			t.Errorf("the same input gave %s and %s, %v and %v, %v and %v", first, second, err, again, warnings, others)
		}
		if err == nil && !json.Valid(first) {
			t.Errorf("got %s", first)
		}
	})
}

// addPublished adds files as people write them, without what they are asked.
func addPublished(f *testing.F) {
	f.Helper()
	names, err := filepath.Glob("../testdata/published/*.yml")
	if err != nil || len(names) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for bytes.HasPrefix(content, []byte("# ")) {
			_, content, _ = bytes.Cut(content, []byte("\n"))
		}
		f.Add(content)
	}
}
