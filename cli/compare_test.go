// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	gateway := func(consumer string, changes func(w http.ResponseWriter, r *http.Request) bool) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Kong-Debug") != "1" {
				t.Error("the request does not ask for the route")
			}
			w.Header().Set("Kong-Route-Name", "todos")
			w.Header().Set("X-RateLimit-Remaining-Minute", consumer) // differs, and does not count
			if !changes(w, r) {
				fmt.Fprintf(w, `{"headers": {"X-Consumer-Username": [%q], "User-Agent": %q}}`, consumer, consumer)
			}
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	old := gateway("ann", func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/redirect" {
			http.Redirect(w, r, "http://"+r.Host+"/there", http.StatusFound)
			return true
		}
		return r.Host == "api.example.com"
	})
	same := gateway("ann", func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/redirect" {
			http.Redirect(w, r, "http://"+r.Host+"/there", http.StatusFound)
			return true
		}
		return r.Host == "api.example.com"
	})
	other := gateway("bob", func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/refused" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="api"`)
			w.Header().Set("X-Extra", "1")
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		w.Header().Set("Kong-Route-Name", "all")
		return false
	})
	const plain = `{"url": "/a", "headers": {"X-A": "1"}}`
	for _, test := range []struct {
		name, lines string
		args        []string
		code        int
		want        []string
	}{
		{"no difference", plain + "\n\n" + `{"url": "/redirect", "method": "POST", "body": "x"}` + "\n" + `{"url": "/a", "host": "api.example.com"}`, []string{"--old", old, "--new", same}, exitYes, []string{"3 requests, 0 different"}},
		{"identity and route", plain, []string{"--old", old, "--new", other}, exitNo, []string{":1: GET /a", `Kong-Route-Name: old "todos", new "all"`, `upstream X-Consumer-Username: old "ann", new "bob"`, "1 requests, 1 different"}},
		{"status and challenge", plain + "\n" + `{"url": "/refused"}`, []string{"--old", old, "--new", other}, exitNo, []string{":2: GET /refused", `status: old "200", new "401"`, `Www-Authenticate: old "", new "Bearer realm=`}},
		{"a header of one's own", `{"url": "/refused"}`, []string{"--old", old, "--new", other, "--header", "x-extra"}, exitNo, []string{`X-Extra: old "", new "1"`}},
		{"not JSON", "GET /", []string{"--old", old, "--new", other}, exitError, []string{":1: is not a request"}},
		{"an unknown field", `{"path": "/"}`, []string{"--old", old, "--new", other}, exitError, []string{`unknown field "path"`}},
		{"a whole URL", `{"url": "http://h/"}`, []string{"--old", old, "--new", other}, exitError, []string{"does not begin with a slash"}},
		{"no address", plain, []string{"--old", "localhost", "--new", other}, exitError, []string{`--old: "localhost" is not the address of a gateway`}},
		{"nobody there", plain, []string{"--old", old, "--new", "http://127.0.0.1:1"}, exitError, []string{"http://127.0.0.1:1 does not answer"}},
		{"one gateway", plain, []string{"--old", old}, exitError, []string{"missing required flag --new"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "requests.jsonl")
			if err := os.WriteFile(file, []byte(test.lines), 0o600); err != nil {
				t.Fatal(err)
			}
			out, code, err := execute(newCompareCommand, append(test.args, file)...)
			if code != test.code {
				t.Errorf("got code %d, want %d: %s %v", code, test.code, out, err)
			}
			if err != nil {
				out += err.Error()
			}
			for _, want := range test.want {
				if !strings.Contains(out, want) {
					t.Errorf("got %s, want %q", out, want)
				}
			}
			if strings.Contains(out, "User-Agent") || strings.Contains(out, "Remaining") {
				t.Errorf("got %s", out)
			}
		})
	}
}
