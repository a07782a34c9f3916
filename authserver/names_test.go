// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/authserver/rfc"
	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/store"
)

// Short names for what the tests of this package use much.

type endpoint = rfc.Endpoint

const (
	tokenEndpoint      = rfc.TokenEndpoint
	introspectEndpoint = rfc.IntrospectEndpoint
	revokeEndpoint     = rfc.RevokeEndpoint
	jwksEndpoint       = rfc.JWKSEndpoint

	reasonMalformed       = "malformed_request"
	reasonUnauthenticated = "no_client_authentication"
	reasonUnknownClient   = "unknown_client"
	reasonWrongSecret     = "wrong_secret"
	reasonStorage         = "storage_unavailable"
	reasonGone            = "client_gone"

	statusGone = 499
	maxBody    = 64 << 10
)

// failingEngine is an engine whose database is unavailable.
type failingEngine struct{}

var errGone = errors.New("the database is unavailable")

func (failingEngine) Get(context.Context, string, store.Hash) (store.Row, error) {
	return store.Row{}, errGone
}
func (failingEngine) Commit(context.Context, time.Time, []store.RowOp, [][]byte) error {
	return errGone
}
func (failingEngine) List(context.Context, string, store.Hash, []byte, int) ([]store.Row, []byte, error) {
	return nil, nil, errGone
}
func (failingEngine) Sweep(context.Context, time.Time, int) (int, error) { return 0, errGone }
func (failingEngine) Watch(ctx context.Context, _ func([]byte))          { <-ctx.Done() }
func (failingEngine) Close() error                                       { return nil }

// failingStore is a store that is unavailable.
func failingStore(t testing.TB) *authcore.Store {
	t.Helper()
	records, err := store.New(failingEngine{}, store.Options{Secrets: []string{"the secret of a test, of 32 bytes or more"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { records.Close() })
	return authcore.New(records, time.Now)
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
