// SPDX-License-Identifier: Apache-2.0

package kongconfig_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

var directive = regexp.MustCompile(`(?m)^(?:# |\t"_comment": ")(ask|refused|env): (.*?)(?:",)?$`)

// Files as people publish them, in words of our own. Each says in its first
// lines what refuses it, or what a gateway that runs it answers:
//
//	# ask: <method> <host> <path> [; <header>]... = <path at the upstream [on <host>], or status and message>
func TestPublishedFiles(t *testing.T) {
	names, err := filepath.Glob("testdata/published/*")
	if err != nil || len(names) < 30 {
		t.Fatalf("got %d files, %v", len(names), err)
	}
	as := newAuthorizationServer(t)
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			upstream := httptest.NewServer(http.HandlerFunc(echo))
			defer upstream.Close()
			host, port, _ := strings.Cut(upstream.Listener.Addr().String(), ":")
			t.Setenv("UPSTREAM_NAME", host)
			file := regexp.MustCompile(`op_url: AS\b`).ReplaceAllString(string(content), `op_url: "`+as.URL+`"`)
			file = regexp.MustCompile(`(host: |http://|grpc://|target: |on |port: )(UPSTREAM|UPHOST|UPPORT)\b`).ReplaceAllStringFunc(file, func(match string) string {
				return strings.NewReplacer("UPSTREAM", host+":"+port, "UPHOST", host, "UPPORT", port).Replace(match)
			})
			checkPublished(t, file)
		})
	}
}

func checkPublished(t *testing.T, file string) {
	t.Helper()
	address := caddytest.FreeAddress(t)
	env := environment{"KONG_PROXY_LISTEN": address}
	var asked [][2]string
	refused := ""
	for _, line := range directive.FindAllStringSubmatch(file, -1) {
		switch text := line[2]; line[1] {
		case "env":
			name, value, _ := strings.Cut(text, "=")
			env[name] = value
		case "refused":
			refused = text
		default:
			i := strings.LastIndex(text, " = ")
			asked = append(asked, [2]string{text[:i], text[i+3:]})
		}
	}
	config, _, err := adapt(t, file, env)
	if refused != "" {
		if err == nil || !strings.Contains(err.Error(), refused) {
			t.Errorf("got %v, want %q", err, refused)
		}
		return
	}
	if err != nil || len(asked) == 0 {
		t.Fatalf("%v, with %d questions", err, len(asked))
	}
	load(t, config, address)
	g := &gateway{t: t, address: address}
	for _, question := range asked {
		parts := strings.Split(question[0], " ; ")
		r := g.ask(parts[0], parts[1:]...)
		got := r.said()
		if strings.Contains(question[1], " on ") && r.upstream != nil {
			got += " on " + r.upstream.Host
		}
		if got != question[1] && !(strings.HasPrefix(got, question[1]) && len(question[1]) == 3) {
			t.Errorf("%s: got %q, want %q", question[0], got, question[1])
		}
	}
}
