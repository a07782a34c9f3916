// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/internal/sessionpool"
	"github.com/caddy-gluu/gateway/internal/streams"
	"github.com/caddy-gluu/gateway/introspect"
)

// tokensPage says what is in the cache, and what a token is.
type tokensPage struct {
	Cache   introspect.CacheStatus
	Asked   bool
	Callers []tokenAt
	Problem string
}

// tokenAt is what a token is to one handler with rules.
type tokenAt struct {
	Hosts  []string
	Caller *explain.Caller
	Claims string // as JSON, "" if the token was not verified
}

func showTokens(v *visit) error {
	return v.show(http.StatusOK, "tokens", "Tokens", tokensPage{Cache: v.app.CacheStatus()})
}

// explainToken says what the token of the form is. It is not in the answer.
func explainToken(v *visit) error {
	page := tokensPage{Cache: v.app.CacheStatus(), Asked: true}
	raw := strings.TrimSpace(v.r.PostForm.Get("access_token"))
	if raw == "" || len(raw) > v.app.MaxToken() {
		page.Problem = "Paste a token, with at most " + strconv.Itoa(v.app.MaxToken()) + " bytes."
		return v.show(http.StatusBadRequest, "tokens", "Tokens", page)
	}
	var err error
	if page.Callers, err = v.callersOf(raw); err != nil {
		page.Problem = sentence(err.Error())
	}
	return v.show(http.StatusOK, "tokens", "Tokens", page)
}

// maxHandlers bounds how many handlers are asked about a token.
const maxHandlers = 64

// callersOf asks each handler with rules who a caller with this token is. Handlers
// that say the same are one.
func (v *visit) callersOf(raw string) (found []tokenAt, err error) {
	seen := map[string]bool{}
	for handler := 1; handler <= maxHandlers; handler++ {
		answer, err := v.app.Explain(v.r.Context(), explain.Question{Token: raw, Request: "GET /", Handler: handler})
		if err != nil {
			if handler > 1 {
				return found, nil // there are no more
			}
			return nil, err
		}
		text, _ := json.Marshal([]any{answer.Hosts, answer.Caller})
		if seen[string(text)] {
			continue
		}
		seen[string(text)] = true
		found = append(found, tokenAt{answer.Hosts, answer.Caller, claimsOf(answer.Caller)})
	}
	return found, nil
}

func claimsOf(c *explain.Caller) string {
	if c == nil || c.Token == nil {
		return ""
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(c.Token.ClaimsJSON), "", "  "); err != nil {
		return ""
	}
	return indented.String()
}

// forgetTokens has tokens verified again.
func forgetTokens(v *visit) error {
	what, value := v.r.PostForm.Get("what"), strings.TrimSpace(v.r.PostForm.Get("value"))
	var forget func(ctx context.Context) (int, error)
	switch {
	case what == "all" && value == "":
		forget = v.app.ForgetTokens
	case what == "client" && value != "":
		forget = func(ctx context.Context) (int, error) { return v.app.ForgetTokensOfClient(ctx, value) }
	case what == "subject" && value != "":
		forget = func(ctx context.Context) (int, error) { return v.app.ForgetTokensOfSubject(ctx, value) }
	default:
		return unfit(errors.New("choose all tokens, or write whose tokens to forget"))
	}
	n, err := forget(v.r.Context())
	v.changed("tokens forgotten: "+what, value)
	if err != nil {
		return &fault{Status: http.StatusBadGateway, Title: "Forgotten here only", Text: "The tokens are forgotten here. The other gateways will be told when Redis is available again: " + err.Error() + "."}
	}
	v.redirect("./tokens?done=tokens-forgotten&n=" + strconv.Itoa(n))
	return nil
}

// sessionsPage lists the sessions of one person.
type sessionsPage struct {
	Subject, Issuer string
	Sessions        []session.Times
	Problem         string
}

func showSessions(v *visit) error {
	query := v.r.URL.Query()
	page := sessionsPage{Subject: query.Get("sub"), Issuer: query.Get("iss")}
	status := http.StatusOK
	if page.Subject != "" {
		var err error
		if page.Sessions, err = v.app.Sessions().Times(v.r.Context(), page.Issuer, page.Subject); err != nil {
			page.Problem, status = sentence(err.Error()), sessionStatus(err)
		}
	}
	return v.show(status, "sessions", "Sessions", page)
}

func sessionStatus(err error) int {
	if errors.Is(err, sessionpool.ErrNoSessions) {
		return http.StatusNotFound
	}
	return http.StatusServiceUnavailable
}

func endSessions(v *visit) error {
	form := v.r.PostForm
	if form.Get("sub") == "" {
		return unfit(errors.New("name a person"))
	}
	n, err := v.app.Sessions().End(v.r.Context(), form.Get("iss"), "", form.Get("sub"))
	if err != nil {
		return &fault{Status: sessionStatus(err), Title: "Sessions", Text: sentence(err.Error())}
	}
	v.changed("sessions ended", form.Get("sub"))
	v.redirect("./sessions?" + url.Values{"sub": {form.Get("sub")}, "iss": {form.Get("iss")}, "done": {"sessions-ended"}, "n": {strconv.Itoa(n)}}.Encode())
	return nil
}

// streamsPage lists the streams that are open, the oldest first.
type streamsPage struct {
	Streams []streams.Info
	Total   int
	Now     time.Time
}

// streamsOnAPage bounds the list. There is no way to the others but ending these.
const streamsOnAPage = 200

func showStreams(v *visit) error {
	list := streams.Open.List(func(streams.Info) bool { return true })
	page := streamsPage{Total: len(list), Streams: list[:min(len(list), streamsOnAPage)], Now: v.now()}
	return v.show(http.StatusOK, "streams", "Streams", page)
}

func endStreams(v *visit) error {
	form := v.r.PostForm
	what, value := form.Get("what"), form.Get("value")
	var selected func(s streams.Info) bool
	switch {
	case value == "":
		return unfit(errors.New("name the streams to end"))
	case what == "id":
		selected = func(s streams.Info) bool { return s.ID == value }
	case what == "client":
		selected = func(s streams.Info) bool { return s.ClientID == value }
	case what == "subject":
		selected = func(s streams.Info) bool { return s.Subject == value }
	default:
		return unfit(errors.New("streams are ended by id, client or subject"))
	}
	n := streams.Open.End(streams.Admin, selected)
	v.changed("streams ended: "+what, value)
	v.redirect("./streams?done=streams-ended&n=" + strconv.Itoa(n))
	return nil
}

func showProviders(v *visit) error {
	return v.show(http.StatusOK, "providers", "Providers", v.app.ProviderStatuses())
}
