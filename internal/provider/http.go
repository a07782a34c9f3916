// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-gluu/gateway/internal/spans"

	"github.com/caddy-gluu/gateway/internal/token"
)

// Everything that goes to an authorization server goes through one guarded
// client. The server is trusted to say who a token belongs to, but not to
// behave: it may hang, drip, redirect or never stop sending, by fault or
// because an attacker has taken its place.

const (
	// MaxAnswer is how much of an answer is read, after decompression.
	MaxAnswer = 1 << 20

	maxAnswerHeader = 64 << 10
)

func NewHTTPClient(tlsConfig *tls.Config) *http.Client {
	return &http.Client{
		Transport: spans.Transport(&http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:        tlsConfig,
			TLSHandshakeTimeout:    10 * time.Second,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           maxInFlight,
			MaxIdleConnsPerHost:    64,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: maxAnswerHeader,
		}),
		// A redirect would carry the token, and with it the credentials, to an
		// address outside the configuration.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Answer is what the authorization server said.
type Answer struct {
	Status    int
	MediaType string // without parameters, in lower case
	Body      []byte
	Oversized bool // the body was cut off at MaxAnswer
}

// Accept decides whether an answer is one. Its error counts as a failure of the
// server, like no answer at all, unless it is an [UnreadableError] or comes from
// [BlameRequest].
type Accept func(*Answer) error

// AcceptStatus leaves the meaning of the answer to the caller, except where
// the server says itself that it is not well.
func AcceptStatus(a *Answer) error {
	if a.Status >= 500 || a.Status == http.StatusTooManyRequests {
		return &StatusError{a.Status}
	}
	return nil
}

// AcceptJSON wants 200 and JSON.
func AcceptJSON(a *Answer) error {
	if a.Status != http.StatusOK {
		return &StatusError{a.Status}
	}
	if a.MediaType != "application/json" {
		return fmt.Errorf("status 200 with content type %.80q, not application/json", a.MediaType)
	}
	return nil
}

// Question is what a request asks.
type Question struct {
	// Endpoint is what is asked, by its name in the metadata. Each has its
	// circuit breaker and its places.
	Endpoint string

	// About is what a client can choose, such as the token, as a digest. However
	// often the same question fails, it is one failure of the server, and for a
	// moment it is answered from memory. "" is for requests that no client has
	// any influence on: each of them counts.
	About string

	// Insist asks although the breaker is open. The answer must then come within
	// a second.
	Insist bool
}

// insistTimeout is how long an answer may take that the breaker would not wait
// for.
const insistTimeout = time.Second

// Call sends a request to the authorization server and returns its answer,
// whatever its status. The connection is the provider's, with its trust and
// client certificate, timeout and size limit; redirects are not followed. Each
// endpoint, by the name given here, has its circuit breaker: a failed
// connection and the statuses 429 and 5xx count as failures. The error is always
// a *token.Error: Unreadable for an answer that is too large, otherwise
// ProviderUnavailable.
//
// The request is not authenticated: see [Server.Authenticate].
func (s *Server) Call(ctx context.Context, endpoint string, req *http.Request) (body []byte, status int, err error) {
	return s.CallAbout(ctx, Question{Endpoint: endpoint}, req)
}

// CallAbout is Call for a request that depends on what a client sent.
func (s *Server) CallAbout(ctx context.Context, q Question, req *http.Request) (body []byte, status int, err error) {
	a, err := s.Ask(ctx, q, req, AcceptStatus)
	if err != nil {
		return nil, 0, err
	}
	return a.Body, a.Status, nil
}

// Do sends a request that no client has any influence on: see [Server.Ask].
func (s *Server) Do(ctx context.Context, endpoint string, req *http.Request, ok Accept) (*Answer, error) {
	return s.Ask(ctx, Question{Endpoint: endpoint}, req, ok)
}

// Ask sends a request to an endpoint under its circuit breaker. The error is
// always a *token.Error: Unreadable if the answer is complete but cannot be read,
// otherwise ProviderUnavailable.
//
// A request waits for its place before its time starts, and for no longer than
// the timeout.
func (s *Server) Ask(ctx context.Context, q Question, req *http.Request, ok Accept) (*Answer, error) {
	if err := s.origins.checkURL(req.URL); err != nil {
		return nil, token.Unavailable(token.DefaultRetryAfter, "%s: %w", q.Endpoint, err)
	}
	e := s.endpoints.of(s, q.Endpoint)
	if err := e.remembered(q); err != nil {
		return nil, s.unanswered(q, err)
	}
	if err := e.refusal(); err != nil && !q.Insist {
		return nil, s.unanswered(q, err)
	}
	release, err := e.places.acquire(ctx, time.Duration(s.config.Timeout))
	if err != nil {
		return nil, s.unanswered(q, notWaited(ctx, err))
	}
	defer release()
	a, err := e.execute(q, func() (*Answer, error) {
		return s.exchangeWithin(ctx, time.Duration(s.config.Timeout), q, req, ok)
	})
	if _, open := errors.AsType[*openError](err); open && q.Insist {
		a, err = s.exchangeWithin(ctx, min(insistTimeout, time.Duration(s.config.Timeout)), q, req, ok)
	}
	switch evidenceOf(err) {
	case serverAnswers:
		if err == nil {
			return a, nil
		}
	case serverFails:
		if _, open := errors.AsType[*openError](err); !open {
			err = asFailed(err)
			e.remember(q, err)
		}
	}
	return nil, s.unanswered(q, err)
}

// errNotWaited is the error of a request whose caller had no time to wait for the
// answer. That says nothing about the server.
var errNotWaited = errors.New("the caller did not wait for the answer")

// exchangeWithin is exchange with a time limit of its own. Only when that is over
// is it the server that was too slow.
func (s *Server) exchangeWithin(ctx context.Context, limit time.Duration, q Question, req *http.Request, ok Accept) (*Answer, error) {
	own, cancel := context.WithTimeout(spans.Named(ctx, q.Endpoint), limit)
	defer cancel()
	a, err := s.exchange(own, req, ok)
	if err != nil {
		err = notWaited(ctx, err)
	}
	return a, err
}

// notWaited marks an error if the caller's context has ended.
func notWaited(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("%w: %w", errNotWaited, err)
}

// unanswered is the error of a question without a usable answer.
func (s *Server) unanswered(q Question, err error) *token.Error {
	if open, ok := errors.AsType[*openError](err); ok {
		return token.Unavailable(open.wait, "%s: %w", q.Endpoint, err)
	}
	if !errors.Is(err, errNotWaited) && !errors.Is(err, errTooBusy) && !errors.Is(err, context.Canceled) {
		s.NoteFailure(q.Endpoint, err)
	}
	if _, ok := errors.AsType[*UnreadableError](err); ok {
		return unreadable(q.Endpoint, err)
	}
	return token.Unavailable(token.DefaultRetryAfter, "%s: %w", q.Endpoint, err)
}

// exchange sends one request and reads the answer, which must be complete
// before the context ends.
func (s *Server) exchange(ctx context.Context, req *http.Request, ok Accept) (*Answer, error) {
	// Not through the client: a redirect is an answer, and nothing else that a
	// client adds is wanted.
	res, err := s.attached.Load().HTTP.Transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, withoutURL(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	mediaType, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		mediaType = ""
	}
	a := &Answer{Status: res.StatusCode, MediaType: mediaType, Body: body[:min(len(body), MaxAnswer)], Oversized: len(body) > MaxAnswer}
	if err := ok(a); err != nil {
		return nil, err
	}
	if a.Oversized {
		return nil, &UnreadableError{fmt.Errorf("it is longer than %d bytes", MaxAnswer)}
	}
	return a, nil
}

// withoutURL drops the address from an error of net/http: the endpoint is
// named anyway, and an address may have been given to keep something secret.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// Unusable returns the error of an answer that cannot be used, and keeps it for
// the operator.
func (s *Server) Unusable(endpoint string, err error) *token.Error {
	s.NoteFailure(endpoint, err)
	return token.Unavailable(token.DefaultRetryAfter, "%s: %w", endpoint, err)
}

// Unreadable returns the error of a complete answer whose meaning is unclear, and
// keeps it for the operator.
func (s *Server) Unreadable(endpoint string, err error) *token.Error {
	s.NoteFailure(endpoint, err)
	return unreadable(endpoint, &UnreadableError{err})
}
