// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

// transport answers for the servers that documents are on.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func answered(status int, body string, header ...string) *http.Response {
	r := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

const documentURL = "https://client.example.com/client.json"

func document(changes ...string) string {
	text := `{"client_id":"` + documentURL + `","client_name":"A client","redirect_uris":["http://127.0.0.1/cb"],"grant_types":["authorization_code","refresh_token"]}`
	return strings.NewReplacer(changes...).Replace(text)
}

// What a client names is fetched only from public addresses, without redirects, within bounds,
// and once a minute.
func TestSec_S237_WhereDocumentsAreFetched(t *testing.T) {
	own := func() ([]net.Addr, error) {
		return []net.Addr{&net.IPNet{IP: net.ParseIP("8.8.4.4"), Mask: net.CIDRMask(24, 32)}}, nil
	}
	for _, address := range []string{
		"127.0.0.1:443", "127.9.9.9:443", "[::1]:443", "10.0.0.1:443", "172.16.0.1:443", "192.168.1.1:443", "169.254.169.254:443", "[fe80::1]:443", "[fd00::1]:443", "[fe80::1%eth0]:443",
		"0.0.0.0:443", "[::]:443", "100.64.0.1:443", "224.0.0.1:443", "255.255.255.255:443", "240.0.0.1:443", "[::ffff:127.0.0.1]:443", "[::ffff:10.0.0.1]:443", "[64:ff9b::a00:1]:443", "[2002:a00:1::]:443",
		"[2001:db8::1]:443", "192.0.2.1:443", "198.18.0.1:443", "8.8.4.4:443", "[ff02::1]:443", "localhost:443", "",
	} {
		if checkPublic(address, own) == nil {
			t.Errorf("%q counts as public", address)
		}
	}
	for _, address := range []string{"8.8.8.8:443", "[2606:4700::1111]:443", "93.184.216.34:8443"} {
		if err := checkPublic(address, own); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	failing := func() ([]net.Addr, error) { return nil, errors.New("unknown") }
	if checkPublic("8.8.8.8:443", failing) == nil {
		t.Error("without knowing the addresses of this machine")
	}
	client := NewDocumentClient()
	if client.Timeout > documentTimeout || client.CheckRedirect(nil, nil) == nil || client.Transport.(*http.Transport).Proxy != nil {
		t.Error("the client follows redirects, uses a proxy or waits too long")
	}
	if _, err := client.Get("https://127.0.0.1:1/"); err == nil || !strings.Contains(err.Error(), "not a public address") {
		t.Errorf("got %v, want a refusal before it connects", err)
	}
}

func TestSec_S237_WhichAddressesAreDocuments(t *testing.T) {
	d := &Documents{Hosts: []string{"client.example.com", "*.apps.example.com"}}
	for _, good := range []string{documentURL, "https://a.apps.example.com/x", "https://client.example.com:8443/x"} {
		if err := d.checkDocumentURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"http://client.example.com/x", "https://client.example.com", "https://client.example.com/", "https://client.example.com/x?a", "https://client.example.com/x#a", "https://u@client.example.com/x",
		"https://client.example.com/../x", "https://other.example.com/x", "https://apps.example.com/x", "https://client.example.com.evil.test/x", "https://client.example.com\\@evil.test/x", "https:///x", "https://client.example.com/" + strings.Repeat("a", 3000),
	} {
		if d.checkDocumentURL(bad) == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestSec_S237_DocumentsAreFetchedOnce(t *testing.T) {
	var calls atomic.Int64
	now := time.Now()
	answer := func() (*http.Response, error) { return answered(200, document()), nil }
	d := &Documents{Hosts: []string{"*"}, Scopes: []string{"mcp"}, Now: func() time.Time { return now }, HTTP: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
		calls.Add(1)
		return answer()
	})}}
	s := &Server{Logger: zap.NewNop()}
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			client, err := d.client(t.Context(), s, documentURL)
			if err != nil || !client.Public || !client.IsSelfMade() || client.Name != "A client" || client.Scopes[0] != "mcp" {
				t.Errorf("got %+v, %v", client, err)
			}
		})
	}
	wait.Wait()
	if calls.Load() != 1 {
		t.Errorf("%d calls for 20 requests", calls.Load())
	}
	now = now.Add(minDocumentAge)
	answer = func() (*http.Response, error) { return nil, errors.New("unavailable") }
	for range 5 {
		if _, err := d.client(t.Context(), s, documentURL); !errors.Is(err, authcore.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
	if calls.Load() != 2 {
		t.Errorf("a failure is asked about %d times", calls.Load()-1)
	}
	now = now.Add(minDocumentAge)
	answer = func() (*http.Response, error) {
		return answered(200, document(), "Cache-Control", "public, max-age=999999999"), nil
	}
	d.client(t.Context(), s, documentURL)
	now = now.Add(maxDocumentAge - time.Second)
	d.client(t.Context(), s, documentURL)
	if calls.Load() != 3 {
		t.Errorf("what may be kept was fetched %d times", calls.Load()-2)
	}
	now = now.Add(time.Second)
	d.client(t.Context(), s, documentURL)
	if calls.Load() != 4 {
		t.Error("a document was kept for more than a day")
	}
}

func TestDocumentsThatAreRefused(t *testing.T) {
	for i, response := range []*http.Response{
		answered(404, document()), answered(302, "", "Location", "https://127.0.0.1/"), answered(200, ""), answered(200, "[]"), answered(200, document()+strings.Repeat(" ", maxDocument)),
		answered(200, document("client.json", "other.json")), answered(200, document("http://127.0.0.1/cb", "http://localhost/cb")), answered(200, document(`"http://127.0.0.1/cb"`, "")),
		answered(200, document(`"client_name"`, `"token_endpoint_auth_method":"client_secret_basic","client_name"`)), answered(200, document("refresh_token", "client_credentials")),
	} {
		d := &Documents{Hosts: []string{"*"}, Now: time.Now, HTTP: &http.Client{
			Transport:     transport(func(*http.Request) (*http.Response, error) { return response, nil }),
			CheckRedirect: NewDocumentClient().CheckRedirect,
		}}
		if client, err := d.client(t.Context(), &Server{Logger: zap.NewNop()}, documentURL); !errors.Is(err, authcore.ErrNotFound) {
			t.Errorf("response %d: %+v, %v", i, client, err)
		}
	}
}

func FuzzDocument(f *testing.F) {
	f.Add(document())
	f.Add(`{"client_id":1}`)
	d := &Documents{Hosts: []string{"*"}}
	f.Fuzz(func(t *testing.T, body string) {
		client, err := d.read(documentURL, []byte(body))
		if err == nil && (client.ClientID != documentURL || len(client.RedirectURIs) == 0) {
			t.Errorf("%q: %+v", body, client)
		}
	})
}
