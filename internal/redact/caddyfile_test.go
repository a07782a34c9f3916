// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"strings"
	"testing"
)

func TestSec_S410_OddCaddyfiles(t *testing.T) {
	for name, c := range map[string]struct{ text, secret string }{
		"heredoc of some lines":      {"a.com {\n\tx {\n\t\tprivate_key <<PEM\n\t\t\t-----BEGIN KEY-----\n\t\t\thunter2hunter2\n\n\t\t\t-----END KEY-----\n\t\t\tPEM\n\t}\n}\n", "hunter2"},
		"heredoc with CRLF":          {"x {\r\n\tprivate_key <<PEM\r\n\t\thunter2\r\n\t\thunter2\r\n\t\tPEM\r\n}\r\n", "hunter2"},
		"default of a variable":      {"x {\n\tclient_secret {$SECRET:hunter2}\n}\n", "hunter2"},
		"short, under two names":     {"x {\n\tclient_secret abc\n\tpassword abc\n\tsecret abc\n}\n", "abc"},
		"short, on a continued line": {"x {\n\tclient_secret \\\n\t\tabc\n}\n", "abc"},
		"a word of markers":          {"x {\n\tclient_secret secret\n\tpassword hunter2hunter2\n}\n", "hunter2"},
		"name=value in a comment":    {"# client_secret=hunter2\nx\n", "hunter2"},
		"name: value in a comment":   {"# token: hunter2\nx\n", "hunter2"},
		"name=value in a matcher":    {"@a query token=hunter2\n", "hunter2"},
		"argument of a snippet":      {"(a) {\n\tclient_secret {args[0]}\n}\nx {\n\timport a hunter2\n}\n", "hunter2"},
	} {
		t.Run(name, func(t *testing.T) {
			shown, err := Caddyfile("key", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(shown.Text, c.secret) {
				t.Errorf("shows %s", shown.Text)
			}
			if restored, err := shown.RestoreCaddyfile(shown.Text); err != nil || restored != c.text {
				t.Errorf("restored is %q, %v; shown is %s", restored, err, shown.Text)
			}
		})
	}
}

func TestSec_S410_AMarkerOfACaddyfileStaysHidden(t *testing.T) {
	shown, err := Caddyfile("key", []byte("x {\n\tclient_secret hunter2hunter2\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	m := marker.FindString(shown.Text)
	for _, edited := range []string{"x {\n\trespond " + m + "\n}\n", "x {\n\trespond <<E\n\t\t" + m + "\n\t\tE\n}\n", "x {\n\trespond \\\n" + m + "\n}\n", "x {\n\trespond \"a" + m + "\"\n}\n"} {
		if got, err := shown.RestoreCaddyfile(edited); err == nil {
			t.Errorf("got %s", got)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	}
	if got, err := shown.RestoreCaddyfile("x {\n\tb {\n\t\tclient_secret \"" + m + "\"\n\t}\n}\n"); err != nil || !strings.Contains(got, "hunter2hunter2") {
		t.Errorf("got %s, %v", got, err)
	}
}
