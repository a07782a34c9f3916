// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

const serverStoreCaddyfile = `
{
	debug
}
http://:{$PORT} {
	bind 127.0.0.1
	basic_auth /oauth2/authorize* {
		person-of-this-test PERSON
	}
	gluu_oauth_server {
		issuer {$ISSUER}
		scopes openid
		scope todos:read "Read your todos"
		consent_page
		registration {
			open
			scopes todos:read
		}
		refresh_token {
			grace {$GRACE}
		}
		client web {
			secret SECRET
			auth basic
			grants authorization_code refresh_token client_credentials
			scopes openid todos:read
			redirect_uris https://web.example.com/callback
		}
		store STORE {
			key {env.KEY}
		}
	}
}
`

const (
	webSecret      = "the-secret-of-the-client-web"
	webRedirect    = "https://web.example.com/callback"
	webVerifier    = "the-verifier-of-the-client-web-0123456789-abcdef"
	webChallenge   = "wdfUDXc-x-xmDyuI97PTPYCAo30L8u6RppGVAMjh0dU"
	personPassword = "password-of-the-person"
)

// A serverSite is an authorization server that runs on any number of gateways.
type serverSite struct {
	t      *testing.T
	config harness.GatewayConfig

	mu       sync.Mutex
	secrets  map[string]string // all that must not be readable at rest, by what it is
	gateways []*harness.Gateway
}

func newServerSite(t *testing.T, engine, address, grace string) *serverSite {
	t.Helper()
	hash := func(secret string) string {
		hashed, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		return string(hashed)
	}
	s := &serverSite{t: t, secrets: map[string]string{}}
	s.config = harness.GatewayConfig{
		Caddyfile: strings.NewReplacer("PERSON", hash(personPassword), "SECRET", hash(webSecret), "STORE", engine+" {env.STORE}").Replace(serverStoreCaddyfile),
		Env:       map[string]string{"ISSUER": "http://127.0.0.1:9", "STORE": address, "KEY": storeKey, "GRACE": grace},
		Home:      t.TempDir(), // one signing key
	}
	s.note("the secret of the client", webSecret)
	s.note("the verifier", webVerifier)
	s.note("the challenge", webChallenge)
	s.note("the person", "person-of-this-test")
	s.note("the password", personPassword)
	s.note("the redirect URI", webRedirect)
	s.note("the key of the store", storeKey)
	return s
}

func (s *serverSite) note(what, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[fmt.Sprint(what, " ", secret)] = secret
}

// hide notes what must not turn up in a log either.
func (s *serverSite) hide(what, secret string) {
	s.note(what, secret)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.gateways {
		g.Forbid(secret)
	}
}

func (s *serverSite) start() *harness.Gateway {
	g := harness.StartGateway(s.t, s.config)
	g.Forbid(storeKey, webSecret, webVerifier, personPassword)
	s.mu.Lock()
	s.gateways = append(s.gateways, g)
	s.mu.Unlock()
	harness.Eventually(s.t, 30*time.Second, func() string {
		answer, err := s.post(g, "/oauth2/introspect", url.Values{"token": {"unknown"}})
		if err != nil || answer.status != http.StatusOK {
			return fmt.Sprint(answer, err)
		}
		return ""
	})
	return g
}

// formAnswer is what a client of the server gets.
type formAnswer struct {
	status int
	body   map[string]any
}

func (a formAnswer) text(member string) string {
	text, _ := a.body[member].(string)
	return text
}

// post sends a form as the client web. Whatever secret it gets is noted.
func (s *serverSite) post(g *harness.Gateway, path string, form url.Values) (formAnswer, error) {
	request, err := http.NewRequest(http.MethodPost, "http://"+g.Addr+path, strings.NewReader(form.Encode()))
	if err != nil {
		return formAnswer{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth("web", webSecret)
	return s.send(request)
}

func (s *serverSite) send(request *http.Request) (answer formAnswer, err error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer, err
	}
	defer response.Body.Close()
	answer.status = response.StatusCode
	if err := json.NewDecoder(response.Body).Decode(&answer.body); err != nil {
		return answer, err
	}
	for _, member := range []string{"access_token", "refresh_token", "id_token", "request_uri", "client_secret", "registration_access_token"} {
		if text := answer.text(member); text != "" {
			s.hide(member, text[strings.LastIndexAny(text, ".:")+1:])
		}
	}
	return answer, nil
}

var (
	consentAction = regexp.MustCompile(`<form method="post" action="[^"]*(/oauth2/authorize/[^"]*)"`)
	consentToken  = regexp.MustCompile(`name="token" value="([^"]*)"`)
)

// code has the person allow the client something at a gateway.
func (s *serverSite) code(g *harness.Gateway) string {
	s.t.Helper()
	pushed, err := s.post(g, "/oauth2/par", url.Values{
		"response_type": {"code"}, "redirect_uri": {webRedirect}, "scope": {"openid todos:read"}, "state": {"the-state-of-this-test"},
		"nonce": {"the-nonce-of-this-test"}, "code_challenge": {webChallenge}, "code_challenge_method": {"S256"},
	})
	if err != nil || pushed.status != http.StatusCreated {
		s.t.Fatalf("the pushed request: %v %v", pushed, err)
	}
	s.note("the state", "the-state-of-this-test")
	s.note("the nonce", "the-nonce-of-this-test")
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	person := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	page, text := s.asPerson(person, http.MethodGet, "http://"+g.Addr+"/oauth2/authorize?"+url.Values{"client_id": {"web"}, "request_uri": {pushed.text("request_uri")}}.Encode(), nil)
	action, token := consentAction.FindStringSubmatch(text), consentToken.FindStringSubmatch(text)
	if action == nil || token == nil {
		s.t.Fatalf("no consent page: %s %s", page.Status, text)
	}
	s.hide("the token of the form", token[1])
	s.hide("the challenge of the login", action[1][strings.LastIndex(action[1], "/")+1:])
	for _, cookie := range page.Cookies() {
		s.hide("the cookie "+cookie.Name, cookie.Value)
	}
	done, text := s.asPerson(person, http.MethodPost, "http://"+g.Addr+action[1], url.Values{"token": {token[1]}, "decision": {"allow"}})
	target, err := url.Parse(done.Header.Get("Location"))
	if err != nil || target.Query().Get("code") == "" {
		s.t.Fatalf("no code: %s %s %s", done.Status, target, text)
	}
	s.hide("code", target.Query().Get("code"))
	return target.Query().Get("code")
}

func (s *serverSite) asPerson(person *http.Client, method, address string, form url.Values) (*http.Response, string) {
	s.t.Helper()
	request, err := http.NewRequest(method, address, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	request.SetBasicAuth("person-of-this-test", personPassword)
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", s.config.Env["ISSUER"])
	}
	response, err := person.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response, string(body)
}

func codeForm(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {webRedirect}, "code_verifier": {webVerifier}}
}

func refreshForm(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}

func (s *serverSite) isActive(g *harness.Gateway, token string) bool {
	s.t.Helper()
	answer, err := s.post(g, "/oauth2/introspect", url.Values{"token": {token}})
	if err != nil || answer.status != http.StatusOK {
		s.t.Fatalf("introspection: %v %v", answer, err)
	}
	return answer.body["active"] == true
}
