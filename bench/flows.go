// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	flowRedirect  = "https://app.example.com/cb"
	flowPerson    = "alice"
	flowVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	flowChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// flow is a browser in which a person has logged in and agreed, and the client that it is
// sent back to. Each has a connection of its own.
type flow struct {
	server  *authServer
	client  string
	scope   string
	browser http.Client
	refresh string
}

// newFlow logs the person in, so that later authorization requests are answered at once.
func newFlow(s *authServer, client, scope string) (*flow, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	f := &flow{server: s, client: client, scope: scope, browser: http.Client{
		Jar: jar, Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	return f, f.enter()
}

var (
	formPattern   = regexp.MustCompile(`<form[^>]* action="([^"]*)"`)
	hiddenPattern = regexp.MustCompile(`<input[^>]*type="hidden"[^>]*name="([^"]*)"[^>]*value="([^"]*)"`)
)

// enter fills in the forms of the server until it sends the browser back to the client.
func (f *flow) enter() error {
	request, err := http.NewRequest(http.MethodGet, f.address(), nil)
	for range 20 {
		if err != nil {
			return err
		}
		location, page, err := f.visit(request)
		if err != nil || strings.HasPrefix(location, flowRedirect) {
			return err
		}
		request, err = f.next(request, location, page)
		if err != nil {
			return err
		}
	}
	return errors.New("a login that does not end")
}

// next is the request that a browser would send after an answer.
func (f *flow) next(last *http.Request, location, page string) (*http.Request, error) {
	if location != "" {
		to, err := last.URL.Parse(location)
		if err != nil {
			return nil, err
		}
		return http.NewRequest(http.MethodGet, to.String(), nil)
	}
	action := formPattern.FindStringSubmatch(page)
	if action == nil {
		return nil, fmt.Errorf("%s shows a page without a form: %.300s", last.URL, page)
	}
	to, err := last.URL.Parse(html.UnescapeString(action[1]))
	if err != nil {
		return nil, err
	}
	form := url.Values{"username": {flowPerson}, "password": {flowPerson}, "decision": {"allow"}}
	for _, field := range hiddenPattern.FindAllStringSubmatch(page, -1) {
		form.Set(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	request, err := http.NewRequest(http.MethodPost, to.String(), strings.NewReader(form.Encode()))
	if err == nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", "http://"+f.server.proxy.addr)
	}
	return request, err
}

func (f *flow) address() string {
	query := url.Values{
		"client_id": {f.client}, "response_type": {"code"}, "redirect_uri": {flowRedirect}, "scope": {f.scope}, "state": {"s"},
		"code_challenge": {flowChallenge}, "code_challenge_method": {"S256"},
	}
	if strings.HasPrefix(f.scope, "openid") {
		query.Set("nonce", "n")
	}
	return "http://" + f.server.proxy.addr + f.server.authorize + "?" + query.Encode()
}

// visit sends a request of the browser, and returns where it is sent to, or the page.
func (f *flow) visit(request *http.Request) (location, page string, err error) {
	if request.Method == http.MethodGet {
		request.Header.Set("Sec-Fetch-Site", "none")
	}
	response, err := f.browser.Do(request)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if response.StatusCode >= http.StatusBadRequest {
		return "", "", fmt.Errorf("%s answers %s: %.300s", request.URL, response.Status, body)
	}
	return response.Header.Get("Location"), string(body), err
}

// login is an authorization request, which needs no page, and the exchange of its code.
func (f *flow) login() error {
	request, err := http.NewRequest(http.MethodGet, f.address(), nil)
	if err != nil {
		return err
	}
	location, _, err := f.visit(request)
	if err != nil {
		return err
	}
	back, err := url.Parse(location)
	if err != nil || back.Query().Get("code") == "" {
		return fmt.Errorf("no code in %q", location)
	}
	return f.exchange(url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {flowRedirect}, "code_verifier": {flowVerifier}})
}

// renew uses the refresh token, and keeps the next one.
func (f *flow) renew() error {
	return f.exchange(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {f.refresh}})
}

func (f *flow) exchange(form url.Values) error {
	request, err := http.NewRequest(http.MethodPost, "http://"+f.server.proxy.addr+f.server.token, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Authorization", basicOf(f.client))
	response, err := f.browser.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var granted struct {
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal(body, &granted); err != nil || response.StatusCode != http.StatusOK || granted.Refresh == "" {
		return fmt.Errorf("the token endpoint answers %s: %.300s", response.Status, body)
	}
	f.refresh = granted.Refresh
	return nil
}

// repeat has each flow do something over and over, and returns how often it was done.
func repeat(ctx context.Context, flows []*flow, do func(*flow) error) (uint64, error) {
	var done atomic.Uint64
	var failed atomic.Pointer[error]
	var group sync.WaitGroup
	for _, f := range flows {
		group.Go(func() {
			for ctx.Err() == nil && failed.Load() == nil {
				if err := do(f); err != nil {
					failed.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return done.Load(), *err
	}
	return done.Load(), nil
}
