// SPDX-License-Identifier: Apache-2.0

// Package caddytest runs Caddy in the process of a test.
package caddytest

import (
	"context"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile" // the adapter "caddyfile"

	"github.com/caddy-gluu/gateway/internal/testenv"
)

// Adapt turns a Caddyfile into Caddy's JSON.
func Adapt(source string) ([]byte, error) {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(source), map[string]any{"filename": "Caddyfile"})
	return config, err
}

// FreeAddress is testenv.FreeAddress for a test.
func FreeAddress(t testing.TB) string {
	t.Helper()
	address, err := testenv.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// Load runs a configuration that listens on address, in the place of the one
// that ran before. When it returns, no new connection comes to that one.
func Load(config []byte, address string) error {
	if err := caddy.Load(config, true); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return testenv.AwaitOneListener(ctx, address)
}

// StopAfter stops Caddy at the end of a test, before the test's folders go.
func StopAfter(t testing.TB) {
	t.TempDir() // the first call says when the folders go: after what is registered later
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
}
