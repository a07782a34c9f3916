// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

var logBlock = regexp.MustCompile(`(?s)\n\tlog \{\n.*?\n\t\}\n`)

// S-156: with the filter that the documentation has, the access log shows nothing of a
// login, a renewal or a logout that is of use to who reads it. The test fails at the end
// if one of the secrets is in the log.
func TestSec_S156_TheAccessLogWithTheDocumentedFilter(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(harness.Root(), "docs", "gluu_openid_connect.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := logBlock.Find(page)
	if block == nil {
		t.Fatal("docs/gluu_openid_connect.md has no log block")
	}
	s := newStoreSite(t, "store embedded", nil)
	s.config.Caddyfile = strings.Replace(s.config.Caddyfile, "\n\tbind 127.0.0.1\n", "\n\tbind 127.0.0.1\n"+string(block), 1)
	g := harness.StartGateway(t, s.config)
	cookie := s.logIn(g)
	s.waitStatus(g, cookie, 30*time.Second, http.StatusOK)
	out := g.Get("/logout", cookie)
	if out.Status != http.StatusFound || !strings.Contains(out.Header.Get("Location"), "id_token_hint=") {
		t.Fatalf("the logout: %s", out)
	}
	for _, want := range []string{
		`"uri":"/callback?code=REDACTED`, `state=REDACTED`, `nonce=REDACTED`, `id_token_hint=REDACTED`,
	} {
		harness.Eventually(t, 30*time.Second, func() string {
			if !strings.Contains(g.Log.String(), want) {
				return "the access log lacks " + want
			}
			return ""
		})
	}
}
