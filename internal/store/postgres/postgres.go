// SPDX-License-Identifier: Apache-2.0

// Package postgres keeps the records of a store in PostgreSQL, 13 or newer, in a
// schema of its own called gluu. What a Commit has written is as durable as the
// server's synchronous_commit makes it: on its disk, by default.
//
// A Commit is one round trip: its statements are sent together and are one
// transaction, in which a statement that does not find what it expects raises
// an error that undoes all of them. The server's log shows those as
// "conflict" with SQLSTATE GL001; they are what happens when a code is redeemed
// twice.
//
// It works behind PgBouncer, also in transaction mode: locks end with their
// transaction, and if named statements turn out to be of another connection the
// engine does without them. Announcements need no LISTEN; they only come sooner
// with it.
//
// Values never travel as text within a statement: pgx's simple protocol is refused.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/retry"
	"github.com/caddy-gluu/gateway/internal/store"
)

const (
	// startPatience is how long opening waits for the server, to refuse a
	// schema that this version does not know.
	startPatience = 3 * time.Second

	// preparePatience bounds an attempt to connect and to migrate.
	preparePatience = time.Minute

	// maxConnections is how many connections a gateway has at most, unless the
	// connection string says otherwise (pool_max_conns).
	maxConnections = 16

	// complainInterval is how often the log says the same.
	complainInterval = time.Minute
)

// Options are how to use a PostgreSQL.
type Options struct {
	// DSN is a connection string as libpq and pgx know it:
	// postgres://<user>:<password>@<host>:<port>/<database>?sslmode=verify-full
	DSN string

	Logger *zap.Logger // nil: none
}

// Engine is a PostgreSQL that is used, or that is waited for.
type Engine struct {
	pool   *pgxpool.Pool
	logger *zap.Logger

	mode    atomic.Int32            // pgx.QueryExecMode of new connections
	problem atomic.Pointer[problem] // nil: usable

	stop    context.CancelFunc
	running sync.WaitGroup
}

// problem is why the server cannot be used.
type problem struct{ err error }

// Open connects and brings the schema up to date. If the server is unavailable
// it goes on trying in the background: a gateway starts without its database. It
// returns an error if a newer version of the gateway has made the schema.
func Open(o Options) (*Engine, error) {
	config, err := parse(o.DSN)
	if err != nil {
		return nil, fmt.Errorf("the store on PostgreSQL: %w", err)
	}
	e := &Engine{logger: o.Logger}
	if e.logger == nil {
		e.logger = zap.NewNop()
	}
	e.mode.Store(int32(config.ConnConfig.DefaultQueryExecMode))
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		c.DefaultQueryExecMode = pgx.QueryExecMode(e.mode.Load())
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.stop = cancel
	if e.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		cancel()
		return nil, fmt.Errorf("the store on PostgreSQL: %w", err)
	}
	if err := e.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("the store on PostgreSQL: %w", err), e.Close())
	}
	return e, nil
}

// CheckDSN returns what is wrong with a connection string. It connects to nothing.
func CheckDSN(dsn string) error {
	_, err := parse(dsn)
	return err
}

// parse reads a connection string. The error does not show it, because it may
// have a password in it.
func parse(dsn string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("not a connection string: write postgres://<user>:<password>@<host>:<port>/<database>, with what is special in a password percent-encoded")
	}
	switch config.ConnConfig.DefaultQueryExecMode {
	case pgx.QueryExecModeSimpleProtocol:
		return nil, errors.New("default_query_exec_mode=simple_protocol writes values into the text of statements: leave it out, or behind PgBouncer write cache_describe")
	case pgx.QueryExecModeExec:
		return nil, errors.New("default_query_exec_mode=exec is not supported: leave it out, or behind PgBouncer write cache_describe")
	}
	if !strings.Contains(dsn, "pool_max_conns") {
		config.MaxConns = max(config.MaxConns, maxConnections)
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "gluu-gateway"
	}
	return config, nil
}

// start makes the first attempt, and leaves others to the background.
func (e *Engine) start(ctx context.Context) error {
	first, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	err := e.prepare(first)
	if errors.Is(err, errNewer) {
		return err
	}
	if err == nil {
		return nil
	}
	said := e.complain(err, time.Time{})
	e.running.Go(func() { e.prepareLater(ctx, said) })
	return nil
}

// prepareLater tries until the server is there and its schema is as it should be.
func (e *Engine) prepareLater(ctx context.Context, said time.Time) {
	backoff := retry.Backoff{Min: 200 * time.Millisecond, Max: 2 * time.Second}
	for backoff.Wait(ctx) {
		attempt, cancel := context.WithTimeout(ctx, preparePatience)
		err := e.prepare(attempt)
		cancel()
		if err == nil {
			e.problem.Store(nil)
			e.logger.Info("the store's PostgreSQL is used")
			return
		}
		said = e.complain(err, said)
	}
}

// complain remembers the problem, and writes it to the log once a minute.
func (e *Engine) complain(err error, said time.Time) time.Time {
	e.problem.Store(&problem{err})
	if time.Since(said) < complainInterval {
		return said
	}
	e.logger.Error("the store's PostgreSQL cannot be used; requests that need it are answered 503", zap.Error(err))
	return time.Now()
}

// Close implements store.Engine.
func (e *Engine) Close() error {
	e.stop()
	e.running.Wait()
	e.pool.Close()
	return nil
}

// attempts is how often a transaction is tried that PostgreSQL has undone for a
// reason that is over the next time.
const attempts = 3

// run calls a function, again if that is certain to be safe.
func (e *Engine) run(call func() error) error {
	if p := e.problem.Load(); p != nil {
		return p.err
	}
	for attempt := 1; ; attempt++ {
		err := call()
		if err == nil || attempt == attempts || !e.isWorthAnother(err) {
			return err
		}
	}
}

// isWorthAnother reports whether an attempt has changed nothing and another one
// may succeed. Behind PgBouncer, from then on, statements have no names.
func (e *Engine) isWorthAnother(err error) bool {
	switch sqlState(err) {
	case deadlockDetected, serializationFailure:
		return true
	case duplicatePreparedStatement, noSuchPreparedStatement:
		if e.mode.Swap(int32(pgx.QueryExecModeCacheDescribe)) != int32(pgx.QueryExecModeCacheDescribe) {
			e.logger.Info("prepared statements are those of other connections, as behind PgBouncer: the store does without them")
			e.pool.Reset()
		}
		return true
	}
	return pgconn.SafeToRetry(err)
}

// What PostgreSQL calls what went wrong.
const (
	conflict                   = "GL001" // ours: see gluu.one in migrations.go
	deadlockDetected           = "40P01"
	serializationFailure       = "40001"
	duplicatePreparedStatement = "42P05"
	noSuchPreparedStatement    = "26000"
)

func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// Interface guards
var _ store.Engine = (*Engine)(nil)
