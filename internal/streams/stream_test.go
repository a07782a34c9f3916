// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/token"
)

// fakeSource is a server that is asked about tokens.
type fakeSource struct {
	again          func() (*token.Token, error)
	holds, isLocal bool
}

func (f *fakeSource) Again(context.Context, string) (*token.Token, error) { return f.again() }
func (f *fakeSource) Holds(*token.Token) bool                             { return f.holds }
func (f *fakeSource) IsLocal() bool                                       { return f.isLocal }

type endFunc func(Reason)

func (f endFunc) end(reason Reason) { f(reason) }

type reportFunc func(*Stream, Reason)

func (f reportFunc) report(s *Stream, reason Reason) { f(s, reason) }

func TestSec_S509_TheServerIsAskedAgain(t *testing.T) {
	refused := &token.Error{Reason: token.Inactive, Err: errors.New("revoked")}
	for name, tc := range map[string]struct {
		err     error
		session string
		want    Reason
	}{
		"inactive":            {refused, "", RecheckInactive},
		"expired":             {&token.Error{Reason: token.Expired, Err: errors.New("over")}, "", TokenExpired},
		"logged out":          {refused, "session", SessionEnded},
		"no answer":           {&token.Error{Reason: token.ProviderUnavailable, Err: errors.New("down")}, "", ""},
		"still good":          {nil, "", ""},
		"an unreadable one":   {&token.Error{Reason: token.Unreadable, Err: errors.New("odd")}, "", ""},
		"cancelled by itself": {context.Canceled, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan struct{}, 100)
			caller := expiring(time.Hour)
			caller.Session = tc.session
			caller.Source = &fakeSource{holds: true, again: func() (*token.Token, error) {
				asked <- struct{}{}
				return caller.Token, tc.err
			}}
			ended := make(chan Reason, 1)
			config := Config{Recheck: caddy.Duration(10 * time.Millisecond)}
			l := config.limits(time.Hour)
			s := NewRegister().begin(EventStream, requestInfo{}, caller, &l, reportFunc(func(_ *Stream, reason Reason) { ended <- reason }))
			defer s.close()
			s.arm(EventStream, endFunc(func(Reason) {}))
			<-asked
			if tc.want == "" {
				<-asked // it goes on, and is asked about again
				if reason := s.ended(); reason != "" {
					t.Errorf("ended: %s", reason)
				}
				return
			}
			select {
			case reason := <-ended:
				if reason != tc.want {
					t.Errorf("got %q, want %q", reason, tc.want)
				}
			case <-time.After(limit):
				t.Error("the stream goes on")
			}
		})
	}
}

func TestSec_S503_StreamsOnlyEndEarlier(t *testing.T) {
	started := time.Unix(1000, 0)
	minute := caddy.Duration(time.Minute)
	for name, tc := range map[string]struct {
		config  Config
		expires time.Duration // after the start; 0: never
		tokenAt time.Duration // 0: not with the token
		ageAt   time.Duration
	}{
		"with the token":             {Config{Jitter: new(caddy.Duration)}, time.Hour, time.Hour, 0},
		"grace":                      {Config{Jitter: new(caddy.Duration), Grace: minute}, time.Hour, time.Hour + time.Minute, 0},
		"a token without end":        {Config{}, 0, 0, 0},
		"off":                        {Config{EndWithToken: new(bool), MaxAge: minute, Jitter: new(caddy.Duration)}, time.Hour, 0, time.Minute},
		"jitter":                     {Config{}, time.Hour, time.Hour - 5*time.Second, 0},
		"jitter of a short life":     {Config{}, 10 * time.Second, 9 * time.Second, 0},
		"age, which has jitter also": {Config{MaxAge: minute}, 0, 0, 55 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			l := tc.config.limits(time.Hour)
			s := &Stream{limits: &l, started: started.Sub(epoch), current: new(token.Token), jitter: 1}
			if tc.expires > 0 {
				s.current.ExpiresAt = started.Add(tc.expires)
			}
			for what, pair := range map[string][2]time.Time{
				"token": {s.tokenEnd(), started.Add(tc.tokenAt)}, "age": {s.ageEnd(), started.Add(tc.ageAt)},
			} {
				if pair[1].Equal(started) {
					pair[1] = time.Time{}
				}
				if !pair[0].Equal(pair[1]) {
					t.Errorf("%s: got %s, want %s", what, pair[0], pair[1])
				}
			}
		})
	}
}

// Of a token of this process's server something has changed, which may or may not
// be its revocation.
func TestATokenMayNotHold(t *testing.T) {
	for name, err := range map[string]error{"revoked": &token.Error{Reason: token.Inactive, Err: errors.New("gone")}, "still good": nil} {
		t.Run(name, func(t *testing.T) {
			caller := expiring(time.Hour)
			asked := make(chan struct{}, 1)
			caller.Source = &fakeSource{isLocal: true, again: func() (*token.Token, error) {
				asked <- struct{}{}
				return caller.Token, err
			}}
			r := NewRegister()
			l := (*Config)(nil).limits(time.Hour)
			ended := make(chan Reason, 1)
			s := r.begin(EventStream, requestInfo{}, caller, &l, reportFunc(func(_ *Stream, reason Reason) { ended <- reason }))
			defer s.close()
			s.arm(EventStream, endFunc(func(Reason) {}))
			r.Sweep(time.Now(), func(Info) Reason { return "" })
			<-asked
			if err == nil {
				if reason := s.ended(); reason != "" {
					t.Errorf("ended: %s", reason)
				}
				return
			}
			select {
			case reason := <-ended:
				if reason != TokenRevoked {
					t.Errorf("got %q", reason)
				}
			case <-time.After(limit):
				t.Error("the stream goes on")
			}
		})
	}
}

// The clock is set while a timer runs; a consumer is deleted.
func TestSec_S511_TheClockIsSet(t *testing.T) {
	r := NewRegister()
	l := (*Config)(nil).limits(time.Hour)
	var ended []string
	open := func(name string, caller Caller) {
		caller.Consumer = name
		s := r.begin(EventStream, requestInfo{}, caller, &l, reportFunc(func(s *Stream, reason Reason) {
			ended = append(ended, s.info().Consumer+" "+string(reason))
		}))
		s.arm(EventStream, endFunc(func(Reason) {}))
		t.Cleanup(s.close)
	}
	open("one", expiring(time.Hour))
	open("two", expiring(3*time.Hour))
	open("three", Caller{ConsumerID: "3"})
	r.Sweep(time.Now().Add(2*time.Hour), func(s Info) Reason {
		if s.ConsumerID == "3" {
			return ConsumerDeleted
		}
		return ""
	})
	if got, want := strings.Join(ended, ", "), "one token_expired, three consumer_deleted"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
