// SPDX-License-Identifier: Apache-2.0

// Package redis keeps the records of a store on a Redis, 6.2 or newer, or Valkey,
// also behind Sentinel and in a Cluster.
//
// It may forget the last second of writes: Redis answers before its disk and its
// replicas have what was written. Where that is too much there is PostgreSQL.
//
//	{gluu}:r:<kind>:<key>     a row, as a string
//	{gluu}:i:<kind>:<entry>   the keys of the rows with an index entry, a set
//	                          scored by when the row expires
//	{gluu}:c                  the stream of announcements, and the channel that
//	                          says that there is something in it
//
// Every key has a time to live: a row until it expires, a set until its last row
// does. A Commit is one script. All keys have the same hash tag, so that a script
// may touch any of them: in a Cluster the whole store is on one node and its
// replicas. Cluster gives it failover, not more room. A Redis has one store in each
// of its databases, a Cluster one at all.
//
// Redis is not used while its maxmemory-policy lets it drop what has not expired.
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/retry"
	"github.com/caddy-gluu/gateway/internal/store"
)

// Options are how to use a Redis.
type Options struct {
	// URL is redis://[<user>:<password>@]<host>:<port>[/<database>], or with
	// the scheme rediss for TLS, or unix:///<path>. Further servers of a Cluster
	// follow as ?addr=<host>:<port>&addr=...; behind Sentinel the servers are
	// the sentinels, and master_set=<name> says which primary.
	URL string

	Logger *zap.Logger // nil: none
}

// Engine is a Redis that is used, or that is waited for.
type Engine struct {
	option rueidis.ClientOption
	logger *zap.Logger

	connection atomic.Pointer[rueidis.Client] // nil until the first contact
	problem    atomic.Pointer[problem]        // nil: usable

	stop    context.CancelFunc
	running sync.WaitGroup
}

// problem is why Redis cannot be used.
type problem struct{ err error }

// ClientOption returns how to connect to a URL. The error does not show the URL,
// which may have a password in it.
func ClientOption(address string) (rueidis.ClientOption, error) {
	u, err := url.Parse(address)
	if err != nil {
		return rueidis.ClientOption{}, errors.New("not a URL: write redis://<host>:<port>, with what is special in a password percent-encoded")
	}
	option, err := rueidis.ParseURL(address)
	if err != nil {
		return option, errors.New("not a URL of a Redis: write redis://<user>:<password>@<host>:<port>/<database number>")
	}
	for name := range u.Query() {
		if name != "addr" && name != "master_set" && (name != "db" || u.Scheme != "unix") {
			return option, fmt.Errorf("the option %q after the '?' is not known: addr and master_set are", name)
		}
	}
	option.Dialer.Timeout = time.Second
	option.ConnWriteTimeout = 5 * time.Second
	option.ReadBufferEachConn, option.WriteBufferEachConn = 64<<10, 64<<10
	option.ClientName = "gluu-gateway"
	option.ForceSingleClient = strings.HasPrefix(address, "unix:")
	option.DisableCache = true
	// A script that was sent twice would find its own traces and report a
	// conflict.
	option.DisableRetry = true
	option.Sentinel.TLSConfig, option.Sentinel.Dialer = cloneTLS(option.TLSConfig), option.Dialer
	return option, nil
}

func cloneTLS(c *tls.Config) *tls.Config {
	if c == nil {
		return nil
	}
	return c.Clone()
}

// Open begins to connect and does not wait: a gateway starts without its Redis.
func Open(o Options) (*Engine, error) {
	option, err := ClientOption(o.URL)
	if err != nil {
		return nil, fmt.Errorf("the store on Redis: %w", err)
	}
	e := &Engine{option: option, logger: o.Logger}
	if e.logger == nil {
		e.logger = zap.NewNop()
	}
	e.problem.Store(&problem{errors.New("not connected yet")})
	ctx, cancel := context.WithCancel(context.Background())
	e.stop = cancel
	e.running.Go(func() { e.keepChecked(ctx) })
	return e, nil
}

// Close implements store.Engine.
func (e *Engine) Close() error {
	e.stop()
	e.running.Wait()
	if client := e.connection.Swap(nil); client != nil {
		(*client).Close()
	}
	return nil
}

// client returns what to send commands with, if Redis can be used.
func (e *Engine) client() (rueidis.Client, error) {
	client := e.connection.Load()
	if p := e.problem.Load(); p != nil && (client == nil || errors.Is(p.err, errEvicts)) {
		return nil, p.err
	}
	if client == nil {
		return nil, errors.New("closed")
	}
	return *client, nil
}

// do calls a function with the client and waits no longer than the context
// allows, whatever the library is doing: it may be connecting again.
func do[T any](ctx context.Context, e *Engine, call func(rueidis.Client) (T, error)) (T, error) {
	var none T
	client, err := e.client()
	if err != nil {
		return none, err
	}
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		value, err := call(client)
		answered <- answer{value, err}
	}()
	select {
	case a := <-answered:
		return a.value, a.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// Get implements store.Engine.
func (e *Engine) Get(ctx context.Context, kind string, key store.Hash) (store.Row, error) {
	text, err := do(ctx, e, func(c rueidis.Client) (string, error) {
		return c.Do(ctx, c.B().Get().Key(rowKey(kind, key)).Build()).ToString()
	})
	if rueidis.IsRedisNil(err) {
		return store.Row{}, store.ErrNotFound
	}
	if err != nil {
		return store.Row{}, err
	}
	return decodeRow(kind, key, text)
}

// Sweep implements store.Engine. Redis itself deletes what has expired.
func (e *Engine) Sweep(context.Context, time.Time, int) (int, error) { return 0, nil }

// pause paces attempts to reach a Redis.
func pause() retry.Backoff { return retry.Backoff{Min: 200 * time.Millisecond, Max: 2 * time.Second} }

// Interface guards
var _ store.Engine = (*Engine)(nil)
