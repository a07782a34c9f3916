// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"strings"
	"testing"
)

func TestHashSecretReadsASecretAndPrintsItsHash(t *testing.T) {
	tests := []struct {
		name  string
		args  []string
		stdin string
		err   string // part of it; empty: a hash is printed
	}{
		{name: "from standard input", stdin: "s3cret\n"},
		{name: "without a line feed", stdin: "s3cret"},
		{name: "with the line end of Windows", stdin: "s3cret\r\n"},
		{name: "as a flag", args: []string{"--plaintext", "s3cret"}},
		{name: "nothing", stdin: "\n", err: "empty"},
		{name: "an empty flag", args: []string{"--plaintext", ""}, stdin: "s3cret", err: "empty"},
		{name: "several lines", stdin: "one\ntwo\n", err: "more than one line"},
		{name: "too long", stdin: strings.Repeat("x", 1025), err: "1025 bytes"},
		{name: "an argument", args: []string{"s3cret"}, err: "unknown command"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			command := newHashSecretCommand()
			var out, errOut bytes.Buffer
			command.SetArgs(append([]string{}, test.args...))
			command.SetIn(strings.NewReader(test.stdin))
			command.SetOut(&out)
			command.SetErr(&errOut)
			command.SilenceUsage = true
			err := command.Execute()
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error: got %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := out.String(); !strings.HasPrefix(got, "$argon2id$v=19$m=") || strings.Count(got, "\n") != 1 {
				t.Errorf("output: got %q, want one line with an argon2id hash", got)
			}
			if strings.Contains(out.String()+errOut.String(), "s3cret") {
				t.Errorf("the secret is in the output: %q %q", out.String(), errOut.String())
			}
		})
	}
}
