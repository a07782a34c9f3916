// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

// The issuer as an OpenID Provider whose people are logged in already: it sends them
// back at once. A code carries the nonce, so that nothing has to be kept.

func (s *issuer) authorize(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.Query()
	back := url.Values{"code": {asked.Get("nonce")}, "state": {asked.Get("state")}}
	http.Redirect(w, r, asked.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (s *issuer) token(w http.ResponseWriter, r *http.Request) {
	client, _, _ := r.BasicAuth()
	answer := map[string]any{"access_token": "opaque-session", "token_type": "Bearer", "expires_in": 2 * 3600, "scope": "openid " + issuerScope}
	switch r.FormValue("grant_type") {
	case "client_credentials": // for the protection API
		answer["scope"] = "uma_protection"
	case umaGrant:
		answer["access_token"] = rpt
	case "refresh_token":
		answer["refresh_token"] = "refreshed"
	default:
		now := time.Now().Unix()
		idToken, err := s.signJWT("JWT", map[string]any{
			"iss": s.url, "sub": "user-1", "aud": client, "iat": now, "exp": now + 2*3600, "auth_time": now, "nonce": r.FormValue("code"),
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer["id_token"] = idToken
	}
	if client == hurriedClient { // its tokens are always about to end
		answer["expires_in"], answer["refresh_token"] = 20, "refresh"
	}
	answerJSON(w, answer)
}

// logins lists the rows that are about people who are logged in.
func (env *environment) logins() []scenario {
	provider := fmt.Sprintf("\t\t\tissuer %s\n\t\t\tclient_id %s\n\t\t\tclient_secret %s\n", env.issuer.url, issuerClient, issuerSecret)
	row := func(name, options string) scenario {
		return scenario{
			name: name, provider: provider, site: "\tgluu_openid_connect {\n\t\tuserinfo off\n" + options + "\t}\n",
			request: fixed("/todos/17", ""), status: 200, login: true,
		}
	}
	all := []scenario{
		row("session, no headers", "\t\tupstream_headers off\n"),
		row("session, four identity headers", ""),
		row("session, renewed by each request", ""),
		row("session with an RPT", ""),
	}
	all[2].provider = strings.Replace(provider, "client_id "+issuerClient, "client_id "+hurriedClient, 1)
	all[3].site += umaRules
	if env.oauth2Proxy != "" {
		all = append(all, scenario{name: "session of oauth2-proxy", request: fixed("/todos/17", ""), status: 200, login: true, oauth2Proxy: env.oauth2Proxy})
	}
	return all
}

// signIn has a person log in at a gateway if the scenario wants one, and sends the cookie
// of the session with its requests from then on.
func (s *scenario) signIn(addr string) error {
	if !s.login {
		return nil
	}
	var cookie string
	err := waitFor(30*time.Second, func() bool { // discovery runs in the background
		var err error
		cookie, err = logIn(addr, s.request(0).path)
		return err == nil
	})
	if err != nil {
		return fmt.Errorf("%s: no one could log in: %w", s.name, err)
	}
	next := s.request
	s.request = func(n uint64) request {
		r := next(n)
		r.cookie = cookie
		return r
	}
	return nil
}

// logIn opens a page as a browser does, and returns the cookies of the session.
func logIn(addr, path string) (cookies string, err error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	page := &url.URL{Scheme: "http", Host: addr, Path: path}
	r, err := http.NewRequest(http.MethodGet, page.String(), nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Accept", "text/html")
	answer, err := (&http.Client{Jar: jar, Timeout: 10 * time.Second}).Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return "", err
	}
	var pairs []string
	for _, c := range jar.Cookies(page) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	if answer.StatusCode != http.StatusOK || len(pairs) == 0 {
		return "", fmt.Errorf("the login ended with %s and %d cookies", answer.Status, len(pairs))
	}
	return strings.Join(pairs, "; "), nil
}

// loginCost measures what a login costs the gateway: the page that leads to the
// provider, the callback, and the page at last.
func loginCost(ctx context.Context, env *environment, cfg settings) error {
	s := env.logins()[1]
	p, stop, err := startSingle(ctx, env, s, cfg)
	if err != nil {
		return err
	}
	defer stop()
	const path = "/todos/17"
	var costs []float64
	for range cfg.rounds {
		before, err := p.proxy.cpuTime()
		if err != nil {
			return err
		}
		logins := 0
		for end := time.Now().Add(cfg.length); time.Now().Before(end) && ctx.Err() == nil; logins++ {
			if _, err := logIn(p.proxy.addr, path); err != nil {
				return err
			}
		}
		after, err := p.proxy.cpuTime()
		if err != nil {
			return err
		}
		if logins == 0 {
			return errors.New("no one has logged in")
		}
		costs = append(costs, micros(after-before)/float64(logins))
	}
	fmt.Printf("CPU time of the gateway for a login, three requests of the browser and one to the provider: %.0fµs, the median of %d rounds of %s\n", median(costs), cfg.rounds, cfg.length)
	return ctx.Err()
}
