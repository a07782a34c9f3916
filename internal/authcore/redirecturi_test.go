// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"strings"
	"testing"
)

// What can be registered, and what cannot.
func TestSec_S214_S215_S216_S217_RedirectURIsThatAreRegistered(t *testing.T) {
	accepted := []string{
		"https://app.example.com/cb", "https://app.example.com", "https://app.example.com/", "https://app.example.com:8443/cb",
		"https://app.example.com/cb?x=1&y=%2F", "https://app.example.com/a%20b", "HTTPS://app.example.com/cb", "https://localhost/cb",
		"https://[2001:db8::1]/cb", "https://xn--bcher-kva.example/cb", "https://app.example.com/a/b;v=1/c",
		"http://127.0.0.1/cb", "http://127.0.0.1:3000/cb", "http://[::1]/cb", "http://[::1]:3000/cb", "http://127.0.0.1",
		"com.example.app:/cb", "com.example.app:/cb?x=1",
	}
	for _, uri := range accepted {
		if err := CheckRedirectURI(uri, false); err != nil {
			t.Errorf("%q is refused: %v", uri, err)
		}
	}
	refused := []string{
		"", " ", "/cb", "//app.example.com/cb", "app.example.com/cb", "https:", "https://", "https:///cb", "https:/cb", "https:app.example.com/cb",
		"http://localhost/cb", "http://localhost.evil.test/cb", "http://LOCALHOST:3000/cb", "http://127.0.0.1.evil.test/cb", "http://127.0.0.2/cb",
		"http://127.1/cb", "http://2130706433/cb", "http://0x7f.1/cb", "http://0/cb", "http://[::]/cb", "http://[::1%25lo]/cb", "http://[::ffff:127.0.0.1]/cb",
		"http://[0:0:0:0:0:0:0:1]/cb", "http://app.example.com/cb", "http://127.0.0.1:0/cb", "http://127.0.0.1:65536/cb", "http://127.0.0.1:/cb", "https://app.example.com:x/cb",
		"https://app.example.com/cb#", "https://app.example.com/cb#f", "https://app.example.com#@evil.test/", "https://user@app.example.com/cb",
		"https://app.example.com@evil.test/cb", "https://user:pass@app.example.com/cb", "https://@app.example.com/cb",
		"https://app.example.com\\@evil.test/cb", "https://evil.test\\.app.example.com/cb", "https:\\\\app.example.com/cb", "https://app.example.com/\\..",
		"https://app.example.com/../cb", "https://app.example.com/a/..;/cb", "https://app.example.com/%2e%2e/cb", "https://app.example.com/./cb", "https://app.example.com//cb",
		"https://*.example.com/cb", "https://app.example.com/*", "https://app.example.com/cb?*",
		"https://app.example.com/c b", "https://app.example.com/cb\n", "https://app.example.com/\x00", "https://app.example.com/\x7f", "https://app.example.com/é", "https://bücher.example/cb",
		"https://app.example.com/{x}", "https://app.example.com/<x>", "https://app.example.com/%zz", "https://app%2eexample.com/cb",
		"javascript:alert(1)", "JaVaScRiPt:alert(1)", "javascript://app.example.com/%0aalert(1)", "data:text/html,x", "file:///etc/passwd", "vbscript:x",
		"myapp:/cb", "myapp://cb", "com.example.app:cb", "com.example.app://evil.test/cb", "com.example.app:", "ftp://app.example.com/cb", "about:blank", "urn:ietf:wg:oauth:2.0:oob", "intent://x",
		"https://app.example.com/" + strings.Repeat("a", maxRedirectURI),
	}
	for _, uri := range refused {
		if CheckRedirectURI(uri, false) == nil {
			t.Errorf("%q is accepted", uri)
		}
	}
	if n := len(accepted) + len(refused); n < 80 {
		t.Errorf("the table has %d spellings", n)
	}
	if err := CheckRedirectURI("http://app.example.com/cb", true); err != nil {
		t.Errorf("with legacy http_redirects: %v", err)
	}
}

// What a client sends must be what it has registered, byte for byte.
func TestSec_S214_S216_RedirectURIsAreComparedExactly(t *testing.T) {
	registered := []string{"https://app.example.com/cb", "https://app.example.com/q?a=1", "http://127.0.0.1/cb", "http://[::1]:3000/six", "com.example.app:/cb"}
	for _, sent := range append([]string{
		"http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb", "http://[::1]/six", "http://[::1]:4000/six",
	}, registered...) {
		if !MatchRedirectURI(registered, sent) {
			t.Errorf("%q does not match", sent)
		}
	}
	for _, sent := range []string{
		"", "https://app.example.com", "https://app.example.com/", "https://app.example.com/cb/", "https://app.example.com/CB", "https://APP.example.com/cb",
		"HTTPS://app.example.com/cb", "https://app.example.com:443/cb", "https://app.example.com/cb?", "https://app.example.com/cb?x", "https://app.example.com/cb#",
		"https://app.example.com/c%62", "https://app.example.com/%63b", "https://app.example.com/./cb", "https://app.example.com/x/../cb", "https://app.example.com//cb",
		"https://app.example.com/cb;x", "https://app.example.com/cb/..;/evil", "https://app.example.com/cb%00", "https://app.example.com/cb ", " https://app.example.com/cb",
		"https://app.example.com./cb", "https://app.example.com@evil.test/cb", "https://evil.test/cb", "https://evil.test?https://app.example.com/cb",
		"https://app.example.com.evil.test/cb", "https://xapp.example.com/cb", "http://app.example.com/cb", "//app.example.com/cb", "/cb",
		"https://app.example.com/q?a=2", "https://app.example.com/q?a=1&b=2", "https://app.example.com/q", "https://app.example.com/q?A=1",
		"http://127.0.0.1/cb2", "http://127.0.0.1/", "http://127.0.0.1:80/cb?x", "http://127.0.0.1:0/cb", "http://127.0.0.1:65536/cb", "http://127.0.0.1:/cb", "http://127.0.0.1:080/cb",
		"http://127.0.0.1:3000@evil.test/cb", "http://127.0.0.1@evil.test/cb", "http://127.0.0.1.evil.test/cb", "http://127.0.0.1evil.test/cb", "http://localhost/cb", "http://[::1]/cb",
		"http://127.0.0.1\\@evil.test/cb", "http://127.0.0.1:1\\.evil.test/cb", "http://127.0.0.1:1#/cb", "https://127.0.0.1/cb", "HTTP://127.0.0.1/cb", "http://127.0.0.2/cb", "http://127.1/cb",
		"http://[::1]:3000/six/", "http://[0:0:0:0:0:0:0:1]/six", "http://[::1%25lo]/six", "http://::1/six", "com.example.app:/cb/", "com.example.app:/CB", "com.example.app://cb", "COM.example.app:/cb",
	} {
		if MatchRedirectURI(registered, sent) {
			t.Errorf("%q matches", sent)
		}
	}
}

func FuzzRedirectURI(f *testing.F) {
	for _, seed := range []string{"https://app.example.com/cb", "http://127.0.0.1:3000/cb", "http://[::1]/cb", "com.example.app:/cb", "https://a@b/"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, registered, sent string) {
		if CheckRedirectURI(registered, false) != nil || !MatchRedirectURI([]string{registered}, sent) || registered == sent {
			return
		}
		if err := CheckRedirectURI(sent, false); err != nil {
			t.Errorf("%q matches %q and could not be registered: %v", sent, registered, err)
		}
		if !strings.HasPrefix(sent, "http://127.0.0.1") && !strings.HasPrefix(sent, "http://[::1]") {
			t.Errorf("%q matches %q", sent, registered)
		}
	})
}

func TestResources(t *testing.T) {
	allowed := []string{"https://api.example.com", "https://mcp.example.com/mcp"}
	for _, test := range []struct {
		asked, want string
		refused     bool
	}{
		{"", "https://api.example.com", false},
		{"https://api.example.com/", "https://api.example.com", false},
		{"https://mcp.example.com/mcp", "https://mcp.example.com/mcp", false},
		{"https://mcp.example.com/mcp/", "", true},
		{"https://mcp.example.com", "", true},
		{"https://API.example.com", "", true},
	} {
		t.Run(test.asked, func(t *testing.T) {
			var asked []string
			if test.asked != "" {
				asked = []string{test.asked}
			}
			got, err := AllowedResources(asked, allowed)
			if (err != nil) != test.refused || strings.Join(got, " ") != test.want {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	if got, _ := AllowedResources(nil, nil); len(got) != 0 {
		t.Errorf("without resources: %q", got)
	}
}
