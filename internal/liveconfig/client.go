// SPDX-License-Identifier: Apache-2.0

// Package liveconfig changes the configuration of this process from inside it: on the
// condition that it is still the one that a person saw, and, unless that person says
// from the new configuration that all is well, only for a minute.
//
//	current, err := endpoint.Read(ctx)
//	err = endpoint.Replace(ctx, current.ETag, edited)   // ErrChanged: someone was faster
//	pending := liveconfig.Trial.Begin(...)              // the former one returns after a minute
//	err = liveconfig.Trial.Confirm(...)                 // unless this is called
//
// It is a client of Caddy's admin endpoint with these two requests, since Caddy has no
// other way to read a configuration, or to change one on a condition. What a browser
// sends never decides about the address of a request.
package liveconfig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// ErrChanged says that the configuration is not the one that a change is for.
var ErrChanged = errors.New("the configuration was changed meanwhile")

// Config is a configuration as it runs.
type Config struct {
	JSON []byte
	ETag string // stands for it; in the form of If-Match
}

// Endpoint is the admin endpoint of this process.
type Endpoint struct {
	address string
	origin  string
	http    *http.Client
}

// maxConfig bounds what is read.
const maxConfig = 64 << 20

// NewEndpoint returns the endpoint at an address, "" for Caddy's default.
func NewEndpoint(address string) (*Endpoint, error) {
	if address == "" {
		address = caddy.DefaultAdminListen
	}
	origin, transport, err := Transport(address)
	if err != nil {
		return nil, err
	}
	transport.DisableKeepAlives = true // each configuration has a listener of its own
	return &Endpoint{address, origin, &http.Client{Transport: transport}}, nil
}

// instance is the answer of GET /gluu/ui: which process it is.
type instance struct {
	Instance string `json:"instance"`
}

// Check makes sure that the endpoint is this process: another gateway on this machine
// may have its endpoint there.
func (e *Endpoint) Check(ctx context.Context, id string) error {
	status, body, _, err := e.read(ctx, "/gluu/ui")
	if err != nil {
		return err
	}
	var answer instance
	if status != http.StatusOK || json.Unmarshal(body, &answer) != nil || answer.Instance != id {
		return fmt.Errorf("the admin endpoint at %s is not that of this gateway: name its own with admin_endpoint", e.address)
	}
	return nil
}

// Read returns the configuration that runs.
func (e *Endpoint) Read(ctx context.Context) (*Config, error) {
	status, body, etag, err := e.read(ctx, "/config/")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK || etag == "" {
		return nil, fmt.Errorf("reading the configuration: %s", problem(status, body))
	}
	return &Config{bytes.TrimSpace(body), etag}, nil
}

// Replace loads a configuration in place of the one with an ETag. If it cannot be
// loaded, the former one goes on.
func (e *Endpoint) Replace(ctx context.Context, etag string, config []byte) error {
	return e.change(ctx, http.MethodPost, "/config/", etag, config)
}

// ReplaceAt replaces what the configuration has at a pointer. The condition is on the
// whole configuration all the same, so that what returns after a trial is what was
// replaced.
func (e *Endpoint) ReplaceAt(ctx context.Context, etag, pointer string, value []byte) error {
	return e.change(ctx, http.MethodPatch, (&url.URL{Path: "/config" + pointer}).EscapedPath(), etag, value)
}

func (e *Endpoint) change(ctx context.Context, method, path, etag string, config []byte) error {
	if etag == "" {
		return errors.New("a change needs the ETag of the configuration that it is for")
	}
	status, body, _, err := e.send(ctx, method, path, etag, config)
	switch {
	case err != nil:
		return err
	case status == http.StatusPreconditionFailed:
		return ErrChanged
	case status != http.StatusOK:
		return &RefusedError{problem(status, body)}
	}
	return nil
}

// RefusedError says why Caddy did not load a configuration.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

// readPauses are how long reading waits before it tries again. A configuration that has
// just been loaded has an endpoint of its own, and a connection to the former one ends.
var readPauses = []time.Duration{20 * time.Millisecond, 100 * time.Millisecond}

// read sends a request that changes nothing, again if there is no answer.
func (e *Endpoint) read(ctx context.Context, path string) (status int, answer []byte, etag string, err error) {
	for i := 0; ; i++ {
		status, answer, etag, err = e.send(ctx, http.MethodGet, path, "", nil)
		if err == nil || i == len(readPauses) {
			return status, answer, etag, err
		}
		select {
		case <-ctx.Done():
			return status, answer, etag, err
		case <-time.After(readPauses[i]):
		}
	}
}

func (e *Endpoint) send(ctx context.Context, method, path, etag string, body []byte) (status int, answer []byte, newTag string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, e.origin+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	r.Header.Set("Origin", e.origin)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if etag != "" {
		r.Header.Set("If-Match", etag)
	}
	response, err := e.http.Do(r)
	if err != nil {
		return 0, nil, "", fmt.Errorf("asking Caddy's admin endpoint at %s: %w", e.address, err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxConfig))
	return response.StatusCode, answer, response.Header.Get("Etag"), err
}

// problem is what the endpoint says about a request that failed.
func problem(status int, body []byte) string {
	var known struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &known) == nil && known.Error != "" {
		return strings.TrimPrefix(known.Error, "loading new config: ")
	}
	return fmt.Sprintf("status %d", status)
}
