// SPDX-License-Identifier: Apache-2.0

// Package outbound asks servers that decide about requests: a small JSON document
// goes there, and one comes back within a time limit.
//
// A [Client] trusts the server to decide, but not to behave: it follows no redirect,
// reads no more than a limit, and stops asking for a while when no answer comes. An
// error says that there is no answer; it never means no.
package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/caddy-gluu/gateway/internal/spans"
	"github.com/caddy-gluu/gateway/internal/status"
)

// MaxAnswer is how much of an answer is read.
const MaxAnswer = 1 << 20

// After this many failures in a row no request waits for a timeout again. Every Pause
// one is let through, to see whether the server answers.
const (
	Failures = 5
	Pause    = 10 * time.Second
)

// Client asks one server.
type Client struct {
	// Name names the call in traces.
	Name string

	// Timeout is how long an answer may take.
	Timeout time.Duration

	// Token is sent as a bearer token; "" for none.
	Token string

	http    *http.Client
	circuit *gobreaker.CircuitBreaker[[]byte]

	mu      sync.Mutex
	counted map[string]bool // callers for whom the server has failed since its last answer
	problem *status.Problem // of the last question, nil if it was answered
}

// New returns a client for a server that is reached with these TLS settings.
func New(name string, timeout time.Duration, token string, tlsConfig *tls.Config) *Client {
	c := &Client{Name: name, Timeout: timeout, Token: token, counted: map[string]bool{}}
	c.http = &http.Client{
		Transport: spans.Transport(&http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:        tlsConfig,
			TLSHandshakeTimeout:    10 * time.Second,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           256,
			MaxIdleConnsPerHost:    256,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		}),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.circuit = gobreaker.NewCircuitBreaker[[]byte](gobreaker.Settings{
		Name: name, MaxRequests: 1, Timeout: Pause,
		ReadyToTrip:  func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= Failures },
		IsSuccessful: func(err error) bool { return err == nil },
		IsExcluded:   func(err error) bool { return errors.As(err, new(*noEvidence)) },
	})
	return c
}

// ErrOpen says that the server has failed so often that it is not asked at the moment.
var ErrOpen = fmt.Errorf("it failed %d times in a row and is asked again within %s", Failures, Pause)

// noEvidence is an error that says nothing about the server.
type noEvidence struct{ error }

func (e *noEvidence) Unwrap() error { return e.error }

// statusError is an answer that is not 200.
type statusError struct{ status int }

func (e *statusError) Error() string { return fmt.Sprintf("it answers with status %d", e.status) }

// Post sends a JSON document and returns the one that the server answers with. The
// caller is the client on whose behalf it is asked: one client for whom the server
// fails again and again, because of what that client sends, is one failure.
func (c *Client) Post(ctx context.Context, address, caller string, header http.Header, document []byte) ([]byte, error) {
	answer, err := c.circuit.Execute(func() ([]byte, error) {
		own, cancel := context.WithTimeout(spans.Named(ctx, c.Name), c.Timeout)
		defer cancel()
		answer, err := c.exchange(own, address, header, document)
		return answer, c.judge(ctx, caller, err)
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return nil, ErrOpen
	}
	return answer, err
}

// judge says what an error tells about the server.
func (c *Client) judge(ctx context.Context, caller string, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		clear(c.counted)
		c.problem = nil
		return nil
	}
	if ctx.Err() != nil {
		return &noEvidence{err} // the client has left
	}
	c.problem = &status.Problem{Time: time.Now(), Error: err.Error()}
	if answer, ok := errors.AsType[*statusError](err); ok && answer.status < 502 && answer.status != http.StatusTooManyRequests {
		return &noEvidence{err} // it answers; what it was sent may be why
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return err // counted for every caller
	}
	if c.counted[caller] {
		return &noEvidence{err}
	}
	if len(c.counted) < 1000 {
		c.counted[caller] = true
	}
	return err
}

func (c *Client) exchange(ctx context.Context, address string, header http.Header, document []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(document))
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // the address may be secret
		}
		return nil, err
	}
	defer res.Body.Close()
	return read(res)
}

func read(res *http.Response) ([]byte, error) {
	if res.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection can be used again
		return nil, &statusError{res.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > MaxAnswer {
		return nil, &noEvidence{fmt.Errorf("the answer is longer than %d bytes", MaxAnswer)}
	}
	mediaType, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" && !strings.HasSuffix(mediaType, "+json") {
		return nil, &noEvidence{fmt.Errorf("the answer is %.80q and not JSON", res.Header.Get("Content-Type"))}
	}
	return body, nil
}

// Status returns the state of the circuit breaker (closed, open or half-open), and why
// the last question was not answered, nil if it was.
func (c *Client) Status() (breaker string, problem *status.Problem) {
	breaker = c.circuit.State().String()
	c.mu.Lock()
	defer c.mu.Unlock()
	return breaker, c.problem
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }
