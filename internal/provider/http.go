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
// because somebody stands in its place.

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
		// A redirect would carry the token, and with it the credentials, to
		// an address that nobody configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Answer is what the authorization server said.
type Answer struct {
	Status    int
	MediaType string // without parameters, in lower case
	Body      []byte
}

// Accept decides whether an answer is one: an error counts as a failure of
// the server, like no answer at all.
type Accept func(*Answer) error

// AcceptStatus leaves the meaning of the answer to the caller, except where
// the server says itself that it is not well.
func AcceptStatus(a *Answer) error {
	if a.Status >= 500 || a.Status == http.StatusTooManyRequests {
		return fmt.Errorf("status %d", a.Status)
	}
	return nil
}

// AcceptJSON wants 200 and JSON.
func AcceptJSON(a *Answer) error {
	if a.Status != http.StatusOK {
		return fmt.Errorf("status %d", a.Status)
	}
	if a.MediaType != "application/json" {
		return fmt.Errorf("status 200 with content type %.80q, not application/json", a.MediaType)
	}
	return nil
}

// Call sends a request to the authorization server and returns its answer,
// whatever its status. The connection is the provider's, with its trust and
// client certificate, timeout and size limit; redirects are not followed. Each
// endpoint, by the name given here, has its circuit breaker: a failed
// connection, an oversized answer and the statuses 429 and 5xx count as
// failures. The error is always a *token.Error with ProviderUnavailable.
//
// The request is not authenticated: see [Server.Authenticate].
func (s *Server) Call(ctx context.Context, endpoint string, req *http.Request) (body []byte, status int, err error) {
	a, err := s.Do(ctx, endpoint, req, AcceptStatus)
	if err != nil {
		return nil, 0, err
	}
	return a.Body, a.Status, nil
}

// Do sends a request to an endpoint under its circuit breaker. The error is
// always an *token.Error with ProviderUnavailable.
func (s *Server) Do(ctx context.Context, endpoint string, req *http.Request, ok Accept) (*Answer, error) {
	if err := s.origins.checkURL(req.URL); err != nil {
		return nil, token.Unavailable(token.DefaultRetryAfter, "%s: %w", endpoint, err)
	}
	ctx, cancel := context.WithTimeout(spans.Named(ctx, endpoint), time.Duration(s.config.Timeout))
	defer cancel()
	a, err := s.breakers.of(s, endpoint).execute(func() (*Answer, error) {
		return s.exchange(ctx, req, ok)
	})
	if err == nil {
		return a, nil
	}
	if wait, open := refusedByBreaker(err); open {
		return nil, token.Unavailable(wait, "%s: %w", endpoint, err)
	}
	if !errors.Is(err, context.Canceled) {
		s.NoteFailure(endpoint, err)
	}
	return nil, token.Unavailable(token.DefaultRetryAfter, "%s: %w", endpoint, err)
}

// exchange sends one request and reads the answer, which must be complete
// before the context ends.
func (s *Server) exchange(ctx context.Context, req *http.Request, ok Accept) (*Answer, error) {
	release, err := s.limiter.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	res, err := s.attached.Load().HTTP.Do(req.WithContext(ctx))
	if err != nil {
		return nil, withoutURL(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > MaxAnswer {
		return nil, fmt.Errorf("the answer is longer than %d bytes", MaxAnswer)
	}
	mediaType, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		mediaType = ""
	}
	a := &Answer{Status: res.StatusCode, MediaType: mediaType, Body: body}
	return a, ok(a)
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
