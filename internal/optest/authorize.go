// SPDX-License-Identifier: Apache-2.0

package optest

import (
	"crypto/rand"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const sessionCookie = "op_session"

// authorize answers an authorization request as a strict provider does.
func (op *OP) authorize(w http.ResponseWriter, r *http.Request) {
	op.Lock()
	defer op.Unlock()
	query := r.URL.Query()
	if pushed, ok := op.pushed[query.Get("request_uri")]; ok {
		query = pushed
	}
	op.requests = append(op.requests, query)
	for name, values := range query {
		if len(values) > 1 && name != "resource" {
			http.Error(w, "repeated parameter "+name, http.StatusBadRequest)
			return
		}
	}
	if query.Get("client_id") != op.Client.ID || !slices.Contains(op.Client.RedirectURIs, query.Get("redirect_uri")) {
		http.Error(w, fmt.Sprintf("unknown client or redirect URI %q", query.Get("redirect_uri")), http.StatusBadRequest)
		return
	}
	if fault := faultOf(query); fault != "" {
		op.answer(w, r, query, url.Values{"error": {"invalid_request"}, "error_description": {fault}})
		return
	}
	current := op.current(r)
	if op.suffices(current, query) {
		op.issue(w, r, query, current)
		return
	}
	switch {
	case query.Get("prompt") == "none":
		op.answer(w, r, query, url.Values{"error": {"login_required"}})
	case op.Interactive:
		op.form(w, query)
	default:
		op.issue(w, r, query, op.logIn(w, op.User, query))
	}
}

// faultOf says what a request lacks that this client must always send.
func faultOf(query url.Values) string {
	switch {
	case query.Get("response_type") != "code":
		return "response_type"
	case !slices.Contains(strings.Fields(query.Get("scope")), "openid"):
		return "scope"
	case len(query.Get("state")) < 43, len(query.Get("nonce")) < 43:
		return "state or nonce"
	case query.Get("code_challenge_method") != "S256" || len(query.Get("code_challenge")) != 43:
		return "code_challenge"
	}
	return ""
}

// current returns the session of the browser at the provider, nil if none.
func (op *OP) current(r *http.Request) *login {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return nil
	}
	return op.sessions[cookie.Value]
}

// suffices reports whether a session needs no further login.
func (op *OP) suffices(l *login, query url.Values) bool {
	if l == nil || query.Get("prompt") == "login" {
		return false
	}
	if seconds, err := strconv.Atoi(query.Get("max_age")); err == nil && op.Now().Sub(l.at) > time.Duration(seconds)*time.Second {
		return false
	}
	wanted := strings.Fields(query.Get("acr_values"))
	return len(wanted) == 0 || slices.Contains(wanted, l.acr) || !op.canDo(wanted)
}

func (op *OP) canDo(wanted []string) bool {
	return slices.ContainsFunc(wanted, func(acr string) bool { return slices.Contains(op.ACRs, acr) })
}

// logIn makes a session, with the first context that is asked for and can be
// done.
func (op *OP) logIn(w http.ResponseWriter, user User, query url.Values) *login {
	l := &login{user: user, acr: user.ACR, at: op.Now(), sid: "sid-" + rand.Text()}
	for acr := range strings.FieldsSeq(query.Get("acr_values")) {
		if slices.Contains(op.ACRs, acr) {
			l.acr = acr
			break
		}
	}
	id := rand.Text()
	op.sessions[id] = l
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: id, Path: "/", HttpOnly: true})
	return l
}

func (op *OP) issue(w http.ResponseWriter, r *http.Request, query url.Values, l *login) {
	code := "code-" + rand.Text()
	op.issued = append(op.issued, code)
	op.codes[code] = &grant{
		login: l, redirectURI: query.Get("redirect_uri"), nonce: query.Get("nonce"),
		challenge: query.Get("code_challenge"), scope: query.Get("scope"),
	}
	op.answer(w, r, query, url.Values{"code": {code}})
}

// answer sends the browser back to the client.
func (op *OP) answer(w http.ResponseWriter, r *http.Request, query, answer url.Values) {
	answer.Set("state", query.Get("state"))
	answer.Set("iss", op.URL)
	if op.EditCallback != nil {
		op.EditCallback(answer)
	}
	http.Redirect(w, r, query.Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
}

func (op *OP) form(w http.ResponseWriter, query url.Values) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!DOCTYPE html><html lang="en"><title>Log in at the provider</title><h1>Log in at the provider</h1>
<form method="post" action="/login"><input type="hidden" name="query" value="%s">
<label>Name <input name="user" autofocus></label> <button>Log in</button></form>`, html.EscapeString(query.Encode()))
}

// submit is what the form sends.
func (op *OP) submit(w http.ResponseWriter, r *http.Request) {
	op.Lock()
	defer op.Unlock()
	query, err := url.ParseQuery(r.PostFormValue("query"))
	if err != nil || r.PostFormValue("user") == "" {
		http.Error(w, "no user", http.StatusBadRequest)
		return
	}
	user := op.User
	user.Subject = r.PostFormValue("user")
	op.issue(w, r, query, op.logIn(w, user, query))
}

func (op *OP) par(w http.ResponseWriter, r *http.Request) {
	op.Lock()
	defer op.Unlock()
	if !op.authenticated(r) {
		writeJSON(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	uri := "urn:ietf:params:oauth:request_uri:" + rand.Text()
	op.pushed[uri] = r.PostForm
	writeJSON(w, http.StatusCreated, map[string]any{"request_uri": uri, "expires_in": 60})
}

func (op *OP) logout(w http.ResponseWriter, r *http.Request) {
	op.Lock()
	defer op.Unlock()
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		delete(op.sessions, cookie.Value)
	}
	target := r.URL.Query().Get("post_logout_redirect_uri")
	if !slices.Contains(op.Client.PostLogout, target) {
		fmt.Fprintln(w, "You are logged out.")
		return
	}
	back := url.Values{"state": {r.URL.Query().Get("state")}}
	if op.EditLogout != nil {
		op.EditLogout(back)
	}
	http.Redirect(w, r, target+"?"+back.Encode(), http.StatusFound)
}
