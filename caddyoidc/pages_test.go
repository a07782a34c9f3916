// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAPageAllowsNothingButItself(t *testing.T) {
	w := httptest.NewRecorder()
	err := writePage(w, 403, page{Title: "Login refused", Text: []string{"Text."}, Link: `/a?b="><script>alert(1)</script>`, LinkText: "Try again", Reference: "0b1e"})
	if err != nil {
		t.Fatal(err)
	}
	body := w.Body.String()
	if strings.Contains(body, "<script") || !strings.Contains(body, "Try again</a>") || !strings.Contains(body, "<code>0b1e</code>") {
		t.Errorf("got %s", body)
	}
	policy := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "style-src 'sha256-", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %q", policy, want)
		}
	}
	if strings.Contains(policy, "script-src") {
		t.Errorf("policy %q allows scripts on a page that has none", policy)
	}
	if w.Code != 403 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("got status %d, %v", w.Code, w.Header())
	}
}

func TestTheStyleSheetStandsInThePageAsItWasHashed(t *testing.T) {
	w := httptest.NewRecorder()
	if err := writePage(w, 200, page{Title: "T"}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(w.Body.String(), "<style>"+pageCSS+"</style>") {
		t.Errorf("the template changed the style sheet, so browsers will drop it: %s", w.Body)
	}
}

func TestOnlyAFragmentPageHasAScript(t *testing.T) {
	nonces := make(map[string]bool)
	for range 3 {
		w := httptest.NewRecorder()
		if err := writePage(w, 200, page{Title: "T", Link: "/x", LinkText: "Go on", Fragment: fragmentSave}); err != nil {
			t.Fatal(err)
		}
		_, nonce, _ := strings.Cut(w.Header().Get("Content-Security-Policy"), "script-src 'nonce-")
		nonce = strings.TrimSuffix(nonce, "'")
		if nonces[nonce] || !strings.Contains(w.Body.String(), `<script nonce="`+nonce+`">`) {
			t.Errorf("nonce %q: got %s", nonce, w.Body)
		}
		nonces[nonce] = true
	}
}

// Browsers apply form-action to the redirects that follow a form, and a logout
// goes on to the OpenID Provider.
func TestTheLogoutButtonMayLeadToTheOpenIDProvider(t *testing.T) {
	for name, tc := range map[string]struct {
		page page
		want bool
	}{
		"a button": {page{Title: "T", Link: "/logout", LinkText: "Log out", Button: true}, false},
		"a link":   {page{Title: "T", Link: "/", LinkText: "Try again"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			if err := writePage(w, 200, tc.page); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(w.Header().Get("Content-Security-Policy"), "form-action"); got != tc.want {
				t.Errorf("form-action is there: %v, want %v", got, tc.want)
			}
		})
	}
}
