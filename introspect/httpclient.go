// SPDX-License-Identifier: Apache-2.0

package introspect

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
)

// Everything that goes to an authorization server goes through one guarded
// client. The server is trusted to say who a token belongs to, but not to
// behave: it may hang, drip, redirect or never stop sending, by fault or
// because somebody stands in its place.

const (
	// maxAnswer is how much of an answer is read, after decompression.
	maxAnswer = 1 << 20

	maxAnswerHeader = 64 << 10
)

func newHTTPClient(tlsConfig *tls.Config) *http.Client {
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

// answer is what the authorization server said.
type answer struct {
	status    int
	mediaType string // without parameters, in lower case
	body      []byte
}

// accept decides whether an answer is one: an error counts as a failure of
// the server, like no answer at all.
type accept func(*answer) error

// acceptStatus leaves the meaning of the answer to the caller, except where
// the server says itself that it is not well.
func acceptStatus(a *answer) error {
	if a.status >= 500 || a.status == http.StatusTooManyRequests {
		return fmt.Errorf("status %d", a.status)
	}
	return nil
}

// acceptJSON wants 200 and JSON.
func acceptJSON(a *answer) error {
	if a.status != http.StatusOK {
		return fmt.Errorf("status %d", a.status)
	}
	if a.mediaType != "application/json" {
		return fmt.Errorf("status 200 with content type %.80q, not application/json", a.mediaType)
	}
	return nil
}

// do sends a request to an endpoint under its circuit breaker. The error is
// always an *Error with ProviderUnavailable.
func (s *server) do(ctx context.Context, endpoint string, req *http.Request, ok accept) (*answer, error) {
	if err := s.origins.checkURL(req.URL); err != nil {
		return nil, unavailable(defaultRetryAfter, "%s: %w", endpoint, err)
	}
	ctx, cancel := context.WithTimeout(spans.Named(ctx, endpoint), time.Duration(s.config.Timeout))
	defer cancel()
	a, err := s.breakers.of(s, endpoint).execute(func() (*answer, error) {
		return s.exchange(ctx, req, ok)
	})
	if err == nil {
		return a, nil
	}
	if wait, open := refusedByBreaker(err); open {
		return nil, unavailable(wait, "%s: %w", endpoint, err)
	}
	if !errors.Is(err, context.Canceled) {
		s.noteFailure(endpoint, err)
	}
	return nil, unavailable(defaultRetryAfter, "%s: %w", endpoint, err)
}

// exchange sends one request and reads the answer, which must be complete
// before the context ends.
func (s *server) exchange(ctx context.Context, req *http.Request, ok accept) (*answer, error) {
	release, err := s.limiter.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	res, err := s.attached.Load().http.Do(req.WithContext(ctx))
	if err != nil {
		return nil, withoutURL(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	mediaType, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		mediaType = ""
	}
	a := &answer{status: res.StatusCode, mediaType: mediaType, body: body}
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

// unusable returns the error of an answer that cannot be used, and keeps it for
// the operator.
func (s *server) unusable(endpoint string, err error) *Error {
	s.noteFailure(endpoint, err)
	return unavailable(defaultRetryAfter, "%s: %w", endpoint, err)
}
