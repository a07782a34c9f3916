// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/seal"
	"github.com/caddy-gluu/gateway/internal/session"
)

// cookieJar sets and clears the gateway's cookies in a browser.
type cookieJar struct {
	names    cookieNames
	domain   string
	secure   bool
	sameSite http.SameSite // of the session cookie
}

// Logins under way are bounded in the browser as they are nowhere else: each
// tab that waits at the OpenID Provider has one, and a person who gives up
// leaves it behind. A browser sends all of them with each request.
const (
	maxAttempts     = 5
	maxAttemptBytes = 8 << 10 // of all together
	triedAttempts   = 20      // cookies of this name that are looked at
)

func (j *cookieJar) set(w http.ResponseWriter, name, value string, maxAge int, sameSite http.SameSite) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", Domain: j.domain, MaxAge: maxAge,
		Secure: j.secure, HttpOnly: true, SameSite: sameSite,
	})
}

// setSession sets the session cookie, which ends with the browser.
func (j *cookieJar) setSession(w http.ResponseWriter, value string) {
	j.set(w, j.names.session, value, 0, j.sameSite)
}

func (j *cookieJar) clearSession(w http.ResponseWriter) {
	j.set(w, j.names.session, "", -1, j.sameSite)
}

// setAttempt keeps a login that begins in the browser, and drops the oldest
// ones where there are too many. SameSite is Lax whatever the session's is: the
// way back from the OpenID Provider is a cross-site navigation.
func (j *cookieJar) setAttempt(w http.ResponseWriter, sent http.Header, s *seal.Sealer, a *session.Attempt) error {
	value, err := a.Seal(s)
	if err != nil {
		return err
	}
	name := j.names.login + session.Name(a.State())
	for _, old := range j.surplus(sent, s, len(name)+len(value)) {
		j.clear(w, old)
	}
	j.set(w, name, value, int(session.AttemptAge/time.Second), http.SameSiteLaxMode)
	return nil
}

func (j *cookieJar) clear(w http.ResponseWriter, name string) {
	j.set(w, name, "", -1, http.SameSiteLaxMode)
}

// surplus returns the names of the login cookies that have to go before one of
// a size is added: those that do not open, and the oldest ones.
func (j *cookieJar) surplus(h http.Header, s *seal.Sealer, size int) (names []string) {
	type kept struct {
		name    string
		size    int
		started time.Time
	}
	var under []kept
	tried := 0
	cookies(h, func(name, value string) bool {
		hash, isLogin := strings.CutPrefix(name, j.names.login)
		if !isLogin {
			return true
		}
		tried++
		a, err := session.PeekAttempt(s, hash, value)
		if err != nil || tried > triedAttempts {
			names = append(names, name)
			return tried < 2*triedAttempts
		}
		under = append(under, kept{name, len(name) + len(value), a.Started})
		return true
	})
	slices.SortStableFunc(under, func(x, y kept) int { return cmp.Compare(y.started.UnixNano(), x.started.UnixNano()) })
	for i, k := range under {
		if size += k.size; i >= maxAttempts-1 || size > maxAttemptBytes {
			names = append(names, k.name)
		}
	}
	return names
}

var errTwoAttempts = errors.New("two login cookies of one name")

// attempt returns the login under way that a state belongs to. Two cookies of
// its name mean that someone else set one of them, from a sibling domain for
// example: neither is believed.
func (j *cookieJar) attempt(h http.Header, s *seal.Sealer, state string, now time.Time) (*session.Attempt, error) {
	values := valuesOf(h, j.names.login+session.Name(state), 2)
	switch len(values) {
	case 0:
		return nil, session.ErrAttempt
	case 1:
		return session.OpenAttempt(s, state, values[0], now)
	}
	return nil, errTwoAttempts
}

// endAttempt forgets a login that has ended.
func (j *cookieJar) endAttempt(w http.ResponseWriter, state string) {
	j.clear(w, j.names.login+session.Name(state))
}
