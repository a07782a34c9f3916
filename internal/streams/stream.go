// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/caddy-gluu/gateway/internal/token"
)

// Caller is whose stream it is.
type Caller struct {
	Token      *token.Token // nil for an anonymous caller
	Raw        string       // the token as it was sent; "" for a person who is logged in
	Provider   string
	ConsumerID string // "" for none
	Consumer   string // its name
	Session    string // of a person who is logged in: the name that sessions have in logs

	// Holds reports that nothing has changed about a token of a server in this
	// process since it was verified; if something has, it takes Again to tell
	// what. It is called every second. Nil for tokens of other servers.
	Holds func(*token.Token) bool

	// Again asks the authorization server, or the session, once more. Nil if there
	// is no server to ask, as for a JWT that is verified by its signature. An error
	// that is not a refusal leaves the stream open until the next time.
	Again func(ctx context.Context) (*token.Token, error)
}

// Info describes a stream for operators.
type Info struct {
	ID         string    `json:"id"`
	Protocol   Protocol  `json:"protocol"`
	Host       string    `json:"host"`
	Path       string    `json:"path"`
	ClientIP   string    `json:"client_ip"`
	ClientID   string    `json:"client_id,omitempty"`
	Subject    string    `json:"subject,omitempty"`
	Consumer   string    `json:"consumer,omitempty"`
	ConsumerID string    `json:"consumer_id,omitempty"`
	Provider   string    `json:"provider,omitempty"`
	Session    string    `json:"session,omitempty"`
	StartedAt  time.Time `json:"started_at"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
}

// Stream is one that is open.
type Stream struct {
	id       string
	request  requestInfo
	caller   Caller
	limits   *limits
	started  time.Time
	register *Register
	report   func(s *Stream, reason Reason)
	jitter   float64 // of the time that is left: each stream has its own

	mu       sync.Mutex
	proto    Protocol
	current  *token.Token // as it was seen last
	asked    time.Time    // when the authorization server was asked last
	reason   Reason       // "" while it goes on
	ending   func(Reason) // does not wait for anything; nil until the stream is under way
	timer    *time.Timer
	isClosed bool // by itself
}

type requestInfo struct{ host, path, clientIP string }

// retryAfter is when to ask again about a token that could not be asked about,
// unless `recheck` is shorter.
const retryAfter = 10 * time.Second

// askTimeout bounds asking. The provider has a timeout of its own for each call.
const askTimeout = 30 * time.Second

func (r *Register) begin(protocol Protocol, request requestInfo, caller Caller, l *limits, report func(*Stream, Reason)) *Stream {
	now := time.Now()
	s := &Stream{
		request: request, caller: caller, limits: l, started: now, register: r, report: report,
		jitter: rand.Float64(), proto: protocol, current: caller.Token, asked: now, //nolint:gosec // spreads load, keeps no secret
	}
	r.add(s)
	return s
}

// arm says how the stream is ended from now on. Until then ending it is only
// noted: the upstream has not answered, and the request is one like any other.
func (s *Stream) arm(protocol Protocol, ending func(Reason)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proto, s.ending = protocol, ending
	if s.reason != "" {
		ending(s.reason)
		return
	}
	s.schedule(time.Now())
}

// close notes that the stream is over.
func (s *Stream) close() {
	s.register.remove(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isClosed = true
	if s.timer != nil {
		s.timer.Stop()
	}
}

// end ends the stream, which takes a second at most and is not waited for. It
// reports false if the stream was ended before.
func (s *Stream) end(reason Reason) bool {
	s.mu.Lock()
	if s.reason != "" || s.isClosed {
		s.mu.Unlock()
		return false
	}
	s.reason = reason
	ending := s.ending
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	if ending != nil {
		ending(reason)
	}
	s.report(s, reason)
	return true
}

func (s *Stream) ended() Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

func (s *Stream) isUnderWay() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending != nil
}

func (s *Stream) protocol() Protocol {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proto
}

func (s *Stream) token() *token.Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// schedule sets the timer for what happens next. s.mu is held.
func (s *Stream) schedule(now time.Time) {
	var next time.Time
	for _, at := range []time.Time{s.tokenEnd(), s.ageEnd(), s.nextRecheck()} {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if next.IsZero() {
		return
	}
	if s.timer == nil {
		s.timer = time.AfterFunc(next.Sub(now), s.due)
		return
	}
	s.timer.Reset(next.Sub(now))
}

// tokenEnd is when the token's end ends the stream, zero if it does not.
func (s *Stream) tokenEnd() time.Time {
	if !s.limits.endWithToken || s.current == nil || s.current.ExpiresAt.IsZero() {
		return time.Time{}
	}
	return s.earlier(s.current.ExpiresAt.Add(s.limits.grace))
}

func (s *Stream) ageEnd() time.Time {
	if s.limits.maxAge == 0 {
		return time.Time{}
	}
	return s.earlier(s.started.Add(s.limits.maxAge))
}

// earlier moves an end by the stream's share of the jitter.
func (s *Stream) earlier(end time.Time) time.Time {
	most := min(s.limits.jitter, end.Sub(s.started)/10)
	return end.Add(-time.Duration(s.jitter * float64(max(0, most))))
}

func (s *Stream) nextRecheck() time.Time {
	if !s.limits.endWithToken || s.caller.Again == nil || s.limits.recheck == 0 {
		return time.Time{}
	}
	return s.asked.Add(s.limits.recheck)
}

// due does what the timer was set for. A session may have been renewed since.
func (s *Stream) due() {
	now := time.Now()
	if s.caller.Session != "" && s.recheck() || s.endIfOver(now) {
		return
	}
	s.mu.Lock()
	recheck := s.nextRecheck()
	isDue := s.reason == "" && !s.isClosed && !recheck.IsZero() && !now.Before(recheck)
	s.mu.Unlock()
	if isDue {
		s.askAgain()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason == "" && !s.isClosed {
		s.schedule(time.Now())
	}
}

// askAgain asks at once, and moves the timer to what was learned.
func (s *Stream) askAgain() {
	if s.recheck() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason == "" && !s.isClosed && s.ending != nil {
		s.schedule(time.Now())
	}
}

// endIfOver ends a stream whose time is over by the clock of now, which may have
// been set since the timer was.
func (s *Stream) endIfOver(now time.Time) bool {
	s.mu.Lock()
	tokenEnd, ageEnd := s.tokenEnd(), s.ageEnd()
	s.mu.Unlock()
	switch {
	case !tokenEnd.IsZero() && !now.Before(tokenEnd):
		s.end(TokenExpired)
	case !ageEnd.IsZero() && !now.Before(ageEnd):
		s.end(MaxAge)
	default:
		return false
	}
	return true
}

// recheck asks about the token again. It reports whether that has ended the
// stream.
func (s *Stream) recheck() bool {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	t, err := s.caller.Again(ctx)
	now := time.Now()
	s.mu.Lock()
	if err == nil {
		s.current, s.asked = t, now
	} else {
		s.asked = now.Add(min(retryAfter, s.limits.recheck) - s.limits.recheck)
	}
	s.mu.Unlock()
	refused, ok := errors.AsType[*token.Error](err)
	if !ok || !refused.IsRefusal() {
		return false
	}
	switch {
	case s.caller.Session != "":
		s.end(SessionEnded)
	case refused.Reason == token.Expired:
		s.end(TokenExpired)
	case s.caller.Holds != nil:
		s.end(TokenRevoked)
	default:
		s.end(RecheckInactive)
	}
	return true
}

// code is that of the WebSocket Close frame.
func (s *Stream) code(reason Reason) int {
	if reason == Admin {
		return codeUnauthorized
	}
	return s.limits.closeCode
}

func (s *Stream) info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	info := Info{
		ID: s.id, Protocol: s.proto, Host: s.request.host, Path: s.request.path, ClientIP: s.request.clientIP,
		Consumer: s.caller.Consumer, ConsumerID: s.caller.ConsumerID, Provider: s.caller.Provider, Session: s.caller.Session,
		StartedAt: s.started,
	}
	if s.current != nil {
		info.ClientID, info.Subject, info.ExpiresAt = s.current.ClientID, s.current.Subject, s.current.ExpiresAt
	}
	return info
}

// isGone reports whether the request is over.
func (s *Stream) isGone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isClosed
}
