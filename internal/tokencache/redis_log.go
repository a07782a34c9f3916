// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-gluu/gateway/internal/retry"
)

// Each gateway reads the log of revocations all the time, on a connection of its
// own. The log is a stream and not a channel: what was written while a gateway
// was not connected is still there when it comes back, and the gateway continues
// where it stopped. If its place in the log no longer exists, or if this is
// another run of Redis, which may have lost the end of the log, the gateway
// cannot know what it missed and forgets all tokens.
//
// The connection also tells whether Redis is available.

const (
	logField  = "e"
	logLength = "10000" // entries that are kept at least
	logPage   = 1000

	// logWait is how long a read waits for something to be written, and so
	// how long it takes to come back to a Redis that was slow once.
	logWait = 500 * time.Millisecond

	// Between attempts to connect. It does not grow: the connection is how a
	// gateway hears of revocations.
	minRedisPause = 400 * time.Millisecond
	maxRedisPause = 500 * time.Millisecond
)

// follow reads the log until the context ends.
func (r *redisStore) follow(ctx context.Context) {
	backoff := retry.Backoff{Min: minRedisPause, Max: maxRedisPause}
	for ctx.Err() == nil {
		err := r.session(ctx)
		if ctx.Err() != nil {
			return
		}
		r.markDown(err)
		backoff.Wait(ctx)
	}
}

// session reads the log on one connection, for as long as that holds.
func (r *redisStore) session(ctx context.Context) error {
	client, err := r.connect(ctx)
	if err != nil {
		return err
	}
	connection, release := client.Dedicate()
	defer release()
	defer connection.Close()
	// A read that waits does not see the end of the context.
	defer context.AfterFunc(ctx, connection.Close)()

	l := &redisLog{redisStore: r, connection: connection}
	if err := l.begin(ctx); err != nil {
		return err
	}
	for {
		if err := r.ping(ctx); err != nil {
			return err
		}
		if err := r.markUp(ctx); err != nil {
			return err
		}
		if err := l.next(ctx); err != nil {
			return err
		}
	}
}

// connect returns the client. Once connected, it reconnects by itself.
func (r *redisStore) connect(ctx context.Context) (rueidis.Client, error) {
	if client := r.client.Load(); client != nil {
		return *client, nil
	}
	client, err := rueidis.NewClient(r.option)
	if err != nil {
		return nil, err
	}
	r.client.Store(&client)
	return client, nil
}

// ping checks the connections that requests use, which are not this one.
func (r *redisStore) ping(ctx context.Context) error {
	if r.usable.Load() {
		return nil
	}
	return r.do(ctx, evictPatience, func(b rueidis.Builder) rueidis.Completed { return b.Ping().Build() }).Error()
}

// redisLog is the log as one connection reads it.
type redisLog struct {
	*redisStore
	connection rueidis.DedicatedClient
}

func (l *redisLog) command(ctx context.Context, patience time.Duration, build func(rueidis.Builder) rueidis.Completed) rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return l.connection.Do(ctx, build(l.connection.B()))
}

const logPatience = 2 * time.Second

// begin finds the place where reading stopped, or starts over.
func (l *redisLog) begin(ctx context.Context) error {
	run, err := l.run(ctx)
	if err != nil {
		return err
	}
	at := l.revoked.position()
	if at.Run == run {
		still, err := l.entries(ctx, at.ID.String(), at.ID.String())
		if err != nil || len(still) == 1 {
			return err
		}
	}
	if err := l.startOver(ctx, run); err != nil {
		return err
	}
	l.tellCaches([]revocation{{Kind: lostTrack}}, nil)
	return nil
}

// run identifies this run of Redis.
func (l *redisLog) run(ctx context.Context) (string, error) {
	info, err := l.command(ctx, logPatience, func(b rueidis.Builder) rueidis.Completed {
		return b.Info().Section("server").Build()
	}).ToString()
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(info) {
		if run, ok := strings.CutPrefix(strings.TrimSpace(line), "run_id:"); ok && run != "" {
			return run, nil
		}
	}
	return "", errors.New("INFO server names no run_id")
}

// startOver reads the log from its beginning, so that records from before a
// revocation are recognised.
func (l *redisLog) startOver(ctx context.Context, run string) error {
	page, err := l.entries(ctx, "-", "+")
	if err != nil {
		return err
	}
	if len(page) == 0 {
		if err := l.publish(ctx, revocation{Kind: nothingRevoked}); err != nil {
			return err
		}
		if page, err = l.entries(ctx, "-", "+"); err != nil {
			return err
		}
		if len(page) == 0 {
			return errors.New("the log of revocations disappeared while it was read")
		}
	}
	first, err := parseEntryID(page[0].ID)
	if err != nil {
		return err
	}
	l.revoked.begin(run, first)
	for len(page) > 0 {
		if _, err := l.take(page); err != nil {
			return err
		}
		if page, err = l.entries(ctx, "("+page[len(page)-1].ID, "+"); err != nil {
			return err
		}
	}
	return nil
}

func (l *redisLog) entries(ctx context.Context, from, to string) ([]rueidis.XRangeEntry, error) {
	return l.command(ctx, logPatience, func(b rueidis.Builder) rueidis.Completed {
		return b.Xrange().Key(l.seal.logKey()).Start(from).End(to).Count(logPage).Build()
	}).AsXRange()
}

// next waits a moment for entries and passes them on.
func (l *redisLog) next(ctx context.Context) error {
	at := l.revoked.position().ID.String()
	streams, err := l.command(ctx, logWait+logPatience, func(b rueidis.Builder) rueidis.Completed {
		return b.Xread().Count(logPage).Block(logWait.Milliseconds()).Streams().Key(l.seal.logKey()).Id(at).Build()
	}).AsXRead()
	if rueidis.IsRedisNil(err) {
		return nil
	}
	if err != nil {
		return err
	}
	batch, err := l.take(streams[l.seal.logKey()])
	if len(batch) > 0 {
		l.tellCaches(batch, nil)
	}
	return err
}

// take notes entries and returns the revocations that are new. An entry that no
// gateway wrote is ignored.
func (l *redisLog) take(entries []rueidis.XRangeEntry) (batch []revocation, err error) {
	for _, entry := range entries {
		id, err := parseEntryID(entry.ID)
		if err != nil {
			return batch, fmt.Errorf("read the log of revocations: %w", err)
		}
		what := revocation{Kind: nothingRevoked}
		if text, err := l.seal.openEntry([]byte(entry.FieldValues[logField])); err == nil {
			if what, err = decodeRevoked(text); err != nil {
				what = revocation{Kind: nothingRevoked}
			}
		}
		if l.revoked.read(id, what) {
			batch = append(batch, what)
		}
	}
	return batch, nil
}
