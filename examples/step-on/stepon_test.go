// SPDX-License-Identifier: Apache-2.0

// Package stepon_test does what the example tells its reader to do: with a login application
// that asks for consent, and StepOn, which connects.
package stepon_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-gluu/gateway"
	"github.com/caddy-gluu/gateway/authserver"
	"github.com/caddy-gluu/gateway/internal/caddytest"
)

const provisionKey = "the key of the login application"

type example struct {
	testing.TB
	address, admin string
	clientID       string
	clientSecret   string
	login, app     *httptest.Server
	tokens         map[string]any // what StepOn has got last
}

func start(t *testing.T) *example {
	e := &example{TB: t, address: caddytest.FreeAddress(t), admin: caddytest.FreeAddress(t)}
	hash, err := authserver.HashSecret([]byte(provisionKey))
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile("Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Setenv("PROVISION_KEY_HASH", hash)
	t.Setenv("ADDRESS", "http://"+e.address)
	t.Setenv("CADDY_ADMIN", e.admin)
	t.Setenv("STATE", filepath.Join(dir, "state"))
	t.Setenv("STORE", filepath.Join(dir, "step-on.db"))
	source := strings.Replace(string(content), "{\n", "{\n\tpersist_config off\n\tstorage file_system "+dir+"\n", 1)
	if err := caddytest.Run(source[strings.Index(source, "{"):], e.address); err != nil {
		t.Fatal(err)
	}
	caddytest.StopAfter(t)
	e.login, e.app = httptest.NewServer(http.HandlerFunc(e.consent)), httptest.NewServer(http.HandlerFunc(e.stepOn))
	t.Cleanup(e.login.Close)
	t.Cleanup(e.app.Close)
	return e
}

// post sends a form as the README has it and returns the members of the answer.
func (e *example) post(target string, form url.Values) (int, map[string]any) {
	e.Helper()
	request, err := http.NewRequestWithContext(e.Context(), http.MethodPost, "http://"+target, strings.NewReader(form.Encode()))
	if err != nil {
		e.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("X-Forwarded-Proto", "https")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		e.Fatal(err)
	}
	defer response.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		e.Errorf("%s: %s: %v", target, response.Status, err)
	}
	return response.StatusCode, body
}

// consent is the login application. It asks the user, who is logged in as ann.
func (e *example) consent(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, "StepOn wants to read your step_counts. Allow?")
		return
	}
	if r.PostFormValue("decision") != "allow" {
		_, _ = io.WriteString(w, "StepOn gets nothing.")
		return
	}
	status, body := e.post(e.address+"/oauth2/authorize", url.Values{
		"response_type": {"code"}, "scope": {r.URL.Query().Get("scope")}, "client_id": {r.URL.Query().Get("client_id")},
		"state": {r.URL.Query().Get("state")}, "provision_key": {provisionKey}, "authenticated_userid": {"ann"},
	})
	uri, ok := body["redirect_uri"].(string)
	if status != http.StatusOK || !ok {
		e.Errorf("authorize: got %d %v", status, body)
		return
	}
	http.Redirect(w, r, uri, http.StatusFound)
}

// stepOn is the application that connects.
func (e *example) stepOn(w http.ResponseWriter, r *http.Request) {
	const state = "of this browser"
	if r.URL.Path != "/callback" {
		http.Redirect(w, r, e.login.URL+"/?"+url.Values{"client_id": {e.clientID}, "scope": {"step_counts"}, "state": {state}}.Encode(), http.StatusFound)
		return
	}
	if r.URL.Query().Get("state") != state {
		http.Error(w, "not the login of this browser", http.StatusBadRequest)
		return
	}
	status, tokens := e.post(e.address+"/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {r.URL.Query().Get("code")}, "client_id": {e.clientID}, "client_secret": {e.clientSecret},
	})
	if status != http.StatusOK {
		e.Errorf("token: got %d %v", status, tokens)
	}
	e.tokens = tokens
	_, _ = io.WriteString(w, "connected")
}

// steps calls the API, without a token if it is "".
func (e *example) steps(token string) string {
	e.Helper()
	request, err := http.NewRequestWithContext(e.Context(), http.MethodGet, "http://"+e.address+"/steps/today", nil)
	if err != nil {
		e.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		e.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		e.Errorf("got %s %s %v", response.Status, body, err)
	}
	return string(body)
}

func TestStepOnConnects(t *testing.T) {
	e := start(t)
	const ofAnn, ofEveryone = `{"user":"ann","steps":10321}`, `{"user":null,"average":5500}`
	status, made := e.post(e.admin+"/gluu/consumers/stepon/oauth2", url.Values{"name": {"StepOn"}, "redirect_uris[]": {strings.Replace(e.app.URL, "localhost", "127.0.0.1", 1) + "/callback"}})
	if status != http.StatusCreated {
		t.Fatalf("got %d %v", status, made)
	}
	e.clientID, e.clientSecret = made["client_id"].(string), made["client_secret"].(string)

	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	page, err := browser.Get(e.app.URL + "/connect")
	if err != nil {
		t.Fatal(err)
	}
	page.Body.Close()
	answer, err := browser.PostForm(page.Request.URL.String(), url.Values{"decision": {"allow"}})
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.Request.URL.Path != "/callback" || e.tokens == nil {
		t.Fatalf("the browser ended at %s with the tokens %v", answer.Request.URL, e.tokens)
	}
	first := e.tokens["access_token"].(string)
	if got := e.steps(first); got != ofAnn {
		t.Errorf("got %s, want the steps of ann", got)
	}
	for _, token := range []string{"", "made-up"} {
		if got := e.steps(token); got != ofEveryone {
			t.Errorf("with the token %q: got %s, want the average", token, got)
		}
	}
	status, renewed := e.post(e.address+"/oauth2/token", url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {e.tokens["refresh_token"].(string)}, "client_id": {e.clientID}, "client_secret": {e.clientSecret},
	})
	if status != http.StatusOK {
		t.Fatalf("refresh: got %d %v", status, renewed)
	}
	second := renewed["access_token"].(string)
	if e.steps(second) != ofAnn || e.steps(first) != ofEveryone {
		t.Error("after a refresh the new token does not work, or the old one does")
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://"+e.admin+"/gluu/oauth2_grants?subject=ann", nil)
	if err != nil {
		t.Fatal(err)
	}
	ended, err := http.DefaultClient.Do(request)
	if err != nil || ended.StatusCode != http.StatusOK {
		t.Fatal(ended, err)
	}
	ended.Body.Close()
	if got := e.steps(second); got != ofEveryone {
		t.Errorf("after ann changed her mind: got %s", got)
	}
}
