// SPDX-License-Identifier: Apache-2.0

package kong

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestOtherMethodsAreRefused(t *testing.T) {
	f := newFixture(t, Profile{Realm: "steps"})
	for path, name := range map[string]string{"/oauth2/token": "token", "/x/oauth2/authorize/": "authorization"} {
		for _, method := range []string{"GET", "PUT", "DELETE", "OPTIONS", "HEAD"} {
			w := f.send(request{method: method, path: path})
			text := "The HTTP method " + method + " is invalid for the " + name + " endpoint"
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" ||
				w.Header().Get("WWW-Authenticate") != `Bearer realm="steps" error="invalid_method" error_description="`+text+`"` {
				t.Errorf("%s %s: got %d %v", method, path, w.Code, w.Header())
			}
			if method != "HEAD" && !strings.Contains(w.Body.String(), text) {
				t.Errorf("%s %s: got %s", method, path, w.Body)
			}
		}
	}
}

func TestWhatIsAnEndpoint(t *testing.T) {
	f := newFixture(t, all())
	for path, want := range map[string]bool{
		"/oauth2/token": true, "/oauth2/token/": true, "/a/b/oauth2/token": true, "/oauth2/authorize": true, "/v1/oauth2/authorize/": true,
		"/oauth2/token//": true, "/oauth2//token": true, "/a/../oauth2/./token": true, "/oauth2/t%6Fken": true, "/oauth2/token/..": false,
		"/oauth2/token%2F": false, "/oauth2/tokens": false, "/OAuth2/token": false, "/oauth2%2ftoken": false, "/oauth2/introspect": false,
		"/xoauth2/token": false, "/oauth2/token/x": false, "/": false,
	} {
		if got := f.Answers(request{path: path}.build(t)); got != want {
			t.Errorf("%s: got %t, want %t", path, got, want)
		}
	}
}

func TestSec_S228_PlainHTTPIsRefused(t *testing.T) {
	for _, test := range []struct {
		name            string
		accept, trusted bool
		proto           []string
		want            string // "": accepted
	}{
		{"plain", false, false, nil, "You must use HTTPS"},
		{"a trusted proxy that is not asked", false, true, []string{"https"}, "You must use HTTPS"},
		{"an untrusted client that says so", true, false, []string{"https"}, "You must use HTTPS"},
		{"a trusted proxy that says nothing", true, true, nil, "You must use HTTPS"},
		{"a trusted proxy that says http", true, true, []string{"http"}, "You must use HTTPS"},
		{"a trusted proxy that says two things", true, true, []string{"https", "https"}, "Only one X-Forwarded-Proto header allowed"},
		{"a trusted proxy that says https", true, true, []string{"HTTPS"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			profile := all()
			profile.AcceptHTTP = test.accept
			f := newFixture(t, profile)
			for path, params := range map[string]map[string]any{
				"/oauth2/authorize": authorization(),
				"/oauth2/token":     {"grant_type": "client_credentials", "client_id": "machine", "client_secret": "machine-secret"},
			} {
				r := request{path: path, params: params, http: true, header: http.Header{"X-Forwarded-Proto": test.proto}}.build(t)
				if test.proto == nil {
					r.Header.Del("X-Forwarded-Proto")
				}
				caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, test.trusted)
				w := httptest.NewRecorder()
				f.ServeHTTP(w, r)
				if test.want == "" && w.Code == http.StatusOK {
					continue
				}
				var body map[string]any
				if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
					t.Fatal(err)
				}
				wantMatch(t, body, fault("access_denied", test.want))
			}
		})
	}
}

// With the legacy word a client may send its secret in the URL. The provision key is never
// read from there.
func TestSec_S228_SecretsInTheURL(t *testing.T) {
	f := newFixture(t, all())
	f.Legacy.QueryCredentials = true
	query := "grant_type=client_credentials&client_id=machine&client_secret=machine-secret"
	if status, body := f.ask(request{path: "/oauth2/token", query: query}); status != http.StatusOK {
		t.Errorf("got %d %v", status, body)
	}
	for _, more := range []string{"&authenticated_userid=ann&provision_key=" + provision} {
		status, body := f.ask(request{path: "/oauth2/token", query: query + more})
		found, err := f.Store.FindToken(t.Context(), f.Issuer, body["access_token"].(string))
		if status != http.StatusOK || err != nil || found.Subject != "" {
			t.Errorf("got %d, a token of %q: a user in the URL counts", status, found.Subject)
		}
	}
}

// Forms are read as nginx reads them: nothing is an error, and what people see in an answer is
// what they can paste.
func TestWhatIsInABody(t *testing.T) {
	const formType = "application/x-www-form-urlencoded"
	f := newFixture(t, all())
	for name, test := range map[string]struct{ contentType, state, want string }{
		"a semicolon":                     {formType, "a;b", "a;b"},
		"a percent sign":                  {formType, "100%", "100%"},
		"half an escape":                  {formType, "%4", "%4"},
		"what is not an escape":           {formType, "%zz+%41", "%zz A"},
		"two equals signs":                {formType, "a==", "a=="},
		"what HTML escapes":               {formType, "%3Ca%26b%3E", "<a&b>"},
		"a parameter without a value":     {formType + "; charset", "x", "x"},
		"a parameter twice":               {formType + "; charset=utf-8; charset=utf-8", "x", "x"},
		"a type in capitals, with spaces": {"Application/X-WWW-Form-Urlencoded ;charset=utf-8", "x", "x"},
	} {
		r := request{path: "/oauth2/token", contentType: test.contentType, body: "grant_type=client_credentials&client_id=machine&client_secret=machine-secret&&state=" + test.state}
		status, body := f.ask(r)
		if status != http.StatusOK || body["state"] != test.want {
			t.Errorf("%s: got %d %v, want the state %q", name, status, body, test.want)
		}
	}
	if text := f.send(request{path: "/oauth2/authorize", params: authorization("state", "s")}).Body.String(); !strings.Contains(text, "&state=s") {
		t.Errorf("the URI cannot be copied out of %s", text)
	}
	empty := http.Header{"Authorization": {""}}
	if status, body := f.ask(request{path: "/oauth2/token", params: exchange("x", "client_secret", nil), header: empty}); status != http.StatusUnauthorized {
		t.Errorf("an empty header: got %d %v, want 401 as in Kong", status, body)
	}
}

// deadlines notes until when a request may be read.
type deadlines struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error {
	d.set = append(d.set, at)
	return nil
}

// A body that trickles in is not waited for, and the connection is as before afterwards.
func TestABodyHasADeadline(t *testing.T) {
	f := newFixture(t, all())
	for _, path := range []string{"/oauth2/token", "/oauth2/authorize"} {
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		before := time.Now()
		f.ServeHTTP(w, request{path: path, params: exchange("x")}.build(t))
		if len(w.set) != 2 || w.set[0].Before(before) || w.set[0].After(time.Now().Add(bodyTimeout)) || !w.set[1].IsZero() {
			t.Errorf("%s: got the deadlines %v, want one and none afterwards", path, w.set)
		}
	}
}

// A secret is checked for clients that do not exist too, so that the time does not tell.
func TestSec_UnknownClientsTakeAsLong(t *testing.T) {
	f := newFixture(t, all())
	for _, id := range []string{"machine", "nobody", ""} {
		before := f.secrets.Load()
		f.ask(request{path: "/oauth2/token", params: map[string]any{"grant_type": "client_credentials", "client_id": id, "client_secret": "wrong"}})
		if f.secrets.Load() != before+1 {
			t.Errorf("%q: %d secrets were checked, want 1", id, f.secrets.Load()-before)
		}
	}
}

func TestTokensAreDrawnFairly(t *testing.T) {
	seen, letters := make(map[string]bool), make(map[rune]int)
	for range 2000 {
		text := newText()
		if len(text) != tokenLength || seen[text] {
			t.Fatalf("got %q", text)
		}
		seen[text] = true
		for _, c := range text {
			letters[c]++
		}
	}
	for _, c := range tokenAlphabet {
		if n := letters[c]; n < 800 || n > 1270 { // 1032 are expected, with a deviation of 32
			t.Errorf("%c occurs %d times among 64,000", c, n)
		}
	}
}

// Whatever a client sends, it gets an answer that is about its request.
func FuzzEndpoints(f *testing.F) {
	for _, seed := range []string{
		`{"grant_type":"client_credentials","client_id":"machine","client_secret":"machine-secret","scope":"profile"}`,
		`{"provision_key":"key-of-the-login","authenticated_userid":"ann","client_id":"two","response_type":"token","state":{"a":[1]}}`,
		"grant_type=refresh_token&refresh_token=x&client_id=steps&client_secret=steps-secret",
		`{"grant_type":null,"code":[],"client_id":{}}`,
	} {
		f.Add("application/json", "", seed)
		f.Add("application/x-www-form-urlencoded", "state=%ff", seed)
		f.Add("multipart/form-data; boundary=x", "client_id=a&client_id=b", seed)
	}
	x := newFixture(f, all())
	f.Fuzz(func(t *testing.T, contentType, query, body string) {
		x.TB = t
		for _, path := range []string{"/oauth2/token", "/oauth2/authorize"} {
			r := request{path: path, contentType: "text/plain", body: body}.build(t)
			r.Header.Set("Content-Type", contentType)
			r.URL.RawQuery = query
			w := httptest.NewRecorder()
			x.ServeHTTP(w, r)
			var answer map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code >= 500 {
				t.Errorf("got %d %s: %v", w.Code, w.Body, err)
			}
			if bytes.Contains(w.Body.Bytes(), []byte(provision)) && !strings.Contains(body+query, provision) {
				t.Errorf("the provision key is in the answer %s", w.Body)
			}
		}
	})
}
