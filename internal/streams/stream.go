// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/url"
	"strconv"
	"sync"
	"time"
	"unique"

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

	// Seen is the token that rules see, where that is not Token.
	Seen *token.Token

	// Source is who vouches for the token. Nil if there is no server to ask, as for
	// a JWT that is verified by its signature.
	Source Source
}

// Source vouches for a token while its stream is open.
type Source interface {
	// Again asks the authorization server, or the session, once more. An error that
	// is not a refusal leaves the stream open until the next time.
	Again(ctx context.Context, raw string) (*token.Token, error)

	// Holds reports that nothing has changed about a token of a server in this
	// process since it was verified; if something has, it takes Again to tell
	// what. It is called every second. True for tokens of other servers.
	Holds(t *token.Token) bool

	// IsLocal reports whether the server is one of this process, so that a token
	// that it refuses was revoked.
	IsLocal() bool
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

// Stream is one that is open. Gateways have tens of thousands of them: what many
// share is held once (party, place, limits), and instants are held as the time
// since epoch.
type Stream struct {
	id       uint64
	place    unique.Handle[place]
	party    unique.Handle[party]
	target   string // as the client asked for it, with its query: never shown
	clientIP string
	raw      string       // Caller.Raw
	session  string       // Caller.Session
	source   Source       // Caller.Source
	seen     *token.Token // Caller.Seen
	limits   *limits
	register *Register
	reporter reporter
	started  time.Duration

	// Of the register, under its lock.
	next   time.Duration // when it is due
	atOpen int32         // its places in the lists of the register, counting from 1
	atDue  int32

	mu       sync.Mutex
	proto    Protocol
	current  *token.Token  // as it was seen last; nil for an anonymous caller
	asked    time.Duration // when the authorization server was asked last
	reason   Reason        // "" while it goes on
	ending   ender         // nil until the stream is under way
	jitter   float32       // of the time that is left: each stream has its own
	isClosed bool          // by itself
}

// party is who calls, as far as streams have it in common.
type party struct{ provider, consumerID, consumer string }

// place is where a request comes in.
type place struct {
	port, method, host string
	isSecure           bool
}

type requestInfo struct {
	place
	target, clientIP string
}

// An ender ends a stream in the way of its protocol. It does not wait for anything.
type ender interface{ end(reason Reason) }

// A reporter is told which streams the gateway has ended.
type reporter interface {
	report(s *Stream, reason Reason)
}

// epoch is what instants are measured from. It has a monotonic reading, so that a
// step of the clock does not move them.
var epoch = time.Now()

// retryAfter is when to ask again about a token that could not be asked about,
// unless `recheck` is shorter.
const retryAfter = 10 * time.Second

// askTimeout bounds asking. The provider has a timeout of its own for each call.
const askTimeout = 30 * time.Second

func (r *Register) begin(protocol Protocol, request requestInfo, caller Caller, l *limits, report reporter) *Stream {
	now := time.Since(epoch)
	s := &Stream{
		place: unique.Make(request.place), target: request.target, clientIP: request.clientIP,
		party: unique.Make(party{caller.Provider, caller.ConsumerID, caller.Consumer}),
		raw:   caller.Raw, session: caller.Session, source: caller.Source, seen: caller.Seen, current: caller.Token,
		limits: l, register: r, reporter: report, started: now, asked: now, proto: protocol,
		jitter: rand.Float32(), //nolint:gosec // spreads load, keeps no secret
	}
	r.add(s)
	return s
}

// arm says how the stream is ended from now on. Until then ending it is only
// noted: the upstream has not answered, and the request is one like any other.
func (s *Stream) arm(protocol Protocol, ending ender) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proto, s.ending = protocol, ending
	if s.reason != "" {
		ending.end(s.reason)
		return
	}
	s.schedule(time.Now())
}

// close notes that the stream is over.
func (s *Stream) close() {
	s.mu.Lock()
	s.isClosed = true // so that it is not scheduled again
	s.mu.Unlock()
	s.register.remove(s)
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
	s.register.unschedule(s)
	s.mu.Unlock()
	if ending != nil {
		ending.end(reason)
	}
	s.reporter.report(s, reason)
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

// schedule says when something happens next. s.mu is held.
func (s *Stream) schedule(now time.Time) {
	if s.isClosed {
		return
	}
	var next time.Time
	for _, at := range []time.Time{s.tokenEnd(), s.ageEnd(), s.nextRecheck()} {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if !next.IsZero() {
		s.register.schedule(s, next.Sub(now))
	}
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
	return s.earlier(epoch.Add(s.started + s.limits.maxAge))
}

// earlier moves an end by the stream's share of the jitter.
func (s *Stream) earlier(end time.Time) time.Time {
	most := min(s.limits.jitter, end.Sub(epoch.Add(s.started))/10)
	return end.Add(-time.Duration(float64(s.jitter) * float64(max(0, most))))
}

func (s *Stream) nextRecheck() time.Time {
	if !s.limits.endWithToken || s.source == nil || s.limits.recheck == 0 {
		return time.Time{}
	}
	return epoch.Add(s.asked + s.limits.recheck)
}

// due does what the stream was scheduled for. A session may have been renewed since.
func (s *Stream) due() {
	now := time.Now()
	if s.session != "" && s.recheck() || s.endIfOver(now) {
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

// askAgain asks at once, and schedules by what was learned.
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
	t, err := s.source.Again(ctx, s.raw)
	now := time.Since(epoch)
	s.mu.Lock()
	if err == nil {
		s.current, s.asked = t, now
	} else {
		s.asked = now + min(retryAfter, s.limits.recheck) - s.limits.recheck
	}
	s.mu.Unlock()
	refused, ok := errors.AsType[*token.Error](err)
	if !ok || !refused.IsRefusal() {
		return false
	}
	switch {
	case s.session != "":
		s.end(SessionEnded)
	case refused.Reason == token.Expired:
		s.end(TokenExpired)
	case s.source.IsLocal():
		s.end(TokenRevoked)
	default:
		s.end(RecheckInactive)
	}
	return true
}

// code is that of the WebSocket Close frame.
func (s *Stream) code(reason Reason) int {
	switch reason {
	case Admin:
		return codeUnauthorized
	case RuleChanged:
		return codeForbidden
	}
	return s.limits.closeCode
}

func (s *Stream) info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	place, party := s.place.Value(), s.party.Value()
	info := Info{
		ID: strconv.FormatUint(s.id, 10), Protocol: s.proto, Host: place.host, Path: pathOf(s.target), ClientIP: s.clientIP,
		Consumer: party.consumer, ConsumerID: party.consumerID, Provider: party.provider, Session: s.session,
		StartedAt: epoch.Add(s.started),
	}
	if s.current != nil {
		info.ClientID, info.Subject, info.ExpiresAt = s.current.ClientID, s.current.Subject, s.current.ExpiresAt
	}
	return info
}

// pathOf returns the path of a request's target, without its query.
func pathOf(target string) string {
	if u, err := url.ParseRequestURI(target); err == nil {
		return u.Path
	}
	return ""
}

// isGone reports whether the request is over.
func (s *Stream) isGone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isClosed
}

// unlessGone does something with the answer before the request can be over: Go's
// HTTP/2 panics when its handler has returned.
func (s *Stream) unlessGone(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isClosed {
		do()
	}
}
