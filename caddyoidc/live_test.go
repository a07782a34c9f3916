// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/session"
)

var testLifetimes = &lifetimes{idle: time.Hour, whole: 12 * time.Hour, auth: 24 * time.Hour, idToken: time.Hour}

func before(d time.Duration) time.Time { return testTime.Add(-d) }

func TestWhenASessionEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		s    session.Session
		want end
	}{
		{"new", session.Session{Created: testTime, Seen: testTime}, notEnded},
		{"just before idle", session.Session{Created: before(2 * time.Hour), Seen: before(time.Hour - time.Second)}, notEnded},
		{"idle", session.Session{Created: before(2 * time.Hour), Seen: before(time.Hour)}, endedIdle},
		{"in use until its end", session.Session{Created: before(12*time.Hour - time.Second), Seen: testTime}, notEnded},
		{"at its end", session.Session{Created: before(12 * time.Hour), Seen: testTime}, endedExpired},
		{"former id, still good", session.Session{Created: testTime, Seen: testTime, Succeeded: testTime.Add(time.Second)}, notEnded},
		{"former id", session.Session{Created: testTime, Seen: testTime, Succeeded: testTime}, endedExpired},
	} {
		if got := testLifetimes.ended(&test.s, testTime); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	forever := *testLifetimes
	forever.idle = 0
	if got := forever.ended(&session.Session{Created: before(11 * time.Hour), Seen: before(11 * time.Hour)}, testTime); got != notEnded {
		t.Errorf("without an idle timeout: got %q", got)
	}
}

func TestWhenASessionIsRenewed(t *testing.T) {
	tokenOf := func(expires time.Duration) session.AccessToken {
		return session.AccessToken{Token: "t", ExpiresAt: testTime.Add(expires)}
	}
	issued := func(d time.Duration) []session.Authentication {
		return []session.Authentication{{IssuedAt: before(d)}}
	}
	for _, test := range []struct {
		name         string
		s            session.Session
		refresh      bool
		due, byToken bool
	}{
		{"new", session.Session{Authentications: issued(0), Access: tokenOf(time.Hour), Refresh: "r"}, true, false, true},
		{"access token ends in 31 s", session.Session{Authentications: issued(0), Access: tokenOf(31 * time.Second), Refresh: "r"}, true, false, true},
		{"access token ends in 30 s", session.Session{Authentications: issued(0), Access: tokenOf(30 * time.Second), Refresh: "r"}, true, true, true},
		{"access token ended, no refresh token", session.Session{Authentications: issued(0), Access: tokenOf(-time.Hour)}, true, false, false},
		{"access token ended, refresh off", session.Session{Authentications: issued(0), Access: tokenOf(-time.Hour), Refresh: "r"}, false, false, false},
		{"access token without an end", session.Session{Authentications: issued(0), Access: session.AccessToken{Token: "t"}, Refresh: "r"}, true, false, true},
		{"old ID token", session.Session{Authentications: issued(time.Hour)}, true, true, false},
		{"old ID token, renewed without a new one", session.Session{Authentications: issued(2 * time.Hour), RenewedAt: before(time.Minute)}, true, false, false},
		{"two ID tokens, the newer one counts", session.Session{Authentications: []session.Authentication{{IssuedAt: before(3 * time.Hour)}, {IssuedAt: before(time.Minute)}}}, true, false, false},
	} {
		got := testLifetimes.renewalOf(&test.s, test.refresh, testTime)
		if got.due != test.due || got.byToken != test.byToken {
			t.Errorf("%s: got %+v, want due %t, by token %t", test.name, got, test.due, test.byToken)
		}
	}
}

func TestWhatAnAuthenticationSatisfies(t *testing.T) {
	s := &session.Session{Authentications: []session.Authentication{
		{ACR: "gold", AuthTime: before(2 * time.Hour), IssuedAt: before(2 * time.Hour)},
		{ACR: "bronze", AuthTime: before(30 * time.Hour), IssuedAt: before(time.Hour)},
		{ACR: "silver", IssuedAt: before(time.Minute)},
	}}
	for _, test := range []struct {
		name   string
		acrs   []string
		maxAge int64
		want   bool
	}{
		{"any", nil, 0, true},
		{"one that is there", []string{"gold"}, 0, true},
		{"one of two", []string{"platinum", "silver"}, 0, true},
		{"one that is not there", []string{"platinum"}, 0, false},
		{"another case", []string{"Gold"}, 0, false},
		{"one that is too long ago for the whole site", []string{"bronze"}, 0, false},
		{"recent enough", []string{"gold"}, 7200, true},
		{"not recent enough", []string{"gold"}, 7199, false},
		{"the age of one and the context of another", []string{"gold"}, 60, false},
		{"without auth_time, by when it was issued", []string{"silver"}, 60, true},
		{"age alone", nil, 59, false},
	} {
		if got := testLifetimes.satisfies(s, test.acrs, test.maxAge, testTime); got != test.want {
			t.Errorf("%s: got %t", test.name, got)
		}
	}
	if testLifetimes.isStale(s, testTime) || !testLifetimes.isStale(s, testTime.Add(25*time.Hour)) {
		t.Error("the person has to log in again a day after the last time, no sooner")
	}
}
