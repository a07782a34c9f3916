// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/rueidis"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/spans"
	"github.com/caddy-gluu/gateway/internal/token"
)

// redisStore is the second level of the cache, on a Redis or Valkey. The first
// level is the memory of the process, so a hit stays local, and the cache of the
// client library is off: it would keep every token twice. What keeps the first
// levels together is the log of revocations, see redis_log.go.
//
// If Redis is unavailable, requests are neither refused nor delayed. It is asked
// only while the log can be read. The first request that it fails to answer in
// time is the last one that waits for it, until the reader of the log finds it
// available again.

const (
	// redisPatience is how long a token waits for Redis.
	redisPatience = 80 * time.Millisecond

	// evictPatience is how long a revocation waits for Redis: an operator wants
	// to know that it holds everywhere.
	evictPatience = time.Second

	// maxSharedRecord bounds what is written, and what is read of a value, which
	// may be forged.
	maxSharedRecord = 128 << 10
)

type redisStore struct {
	option rueidis.ClientOption
	seal   *sealer
	now    func() time.Time

	client  atomic.Pointer[rueidis.Client]
	usable  atomic.Bool
	revoked revocations
	waiting *waitingRevocations

	mu      sync.Mutex
	problem error // why it is unavailable

	sharesMu sync.Mutex
	shares   []*redisShare // of the caches of this process

	cancel context.CancelFunc
	ended  chan struct{}
}

// CheckAddress returns an error if the address of a Redis cannot be understood.
// The error may contain its password.
func CheckAddress(address string) error {
	_, err := redisOption(address)
	return err
}

// redisOption returns how to connect.
func redisOption(address string) (rueidis.ClientOption, error) {
	option, err := rueidis.ParseURL(address)
	if err != nil {
		return option, err
	}
	option.Dialer.Timeout = time.Second
	option.ConnWriteTimeout = 2 * time.Second
	option.ReadBufferEachConn, option.WriteBufferEachConn = 64<<10, 64<<10
	option.ClientName = "gluu-gateway"
	option.PipelineMultiplex = -1 // one connection: if it works, all do
	option.ForceSingleClient = true
	option.DisableCache = true
	// Failures are handled here, at once.
	option.DisableRetry = true
	return option, nil
}

// openRedis starts to connect and does not wait. Redis is told of waiting
// revocations before anything else.
func openRedis(address, secret string, waiting *waitingRevocations) (*redisStore, error) {
	option, err := redisOption(address)
	if err != nil {
		return nil, err
	}
	r := &redisStore{option: option, now: time.Now, waiting: waiting}
	if r.seal, err = newSealer(secret); err != nil {
		return nil, err
	}
	r.start()
	return r, nil
}

// start starts to read the log.
func (r *redisStore) start() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	r.cancel, r.ended = cancel, ended
	go func() {
		defer close(ended)
		r.follow(ctx)
	}()
}

func (r *redisStore) close() {
	r.usable.Store(false)
	r.cancel()
	<-r.ended
	if client := r.client.Load(); client != nil {
		(*client).Close()
	}
}

func (r *redisStore) name(token string) tokenName { return r.seal.tokenName(token) }

// sharedRecord is what is sealed: the record, and what it takes to tell
// whether it has been revoked.
type sharedRecord struct {
	Since   Position        `json:"since"`
	Client  string          `json:"client,omitempty"`
	Subject string          `json:"subject,omitempty"`
	Record  json.RawMessage `json:"record"`
}

func (r *redisStore) get(ctx context.Context, id RecordID) (record []byte, since Position, ok bool) {
	if !r.usable.Load() {
		sharedLookups.WithLabelValues("away").Inc()
		return nil, Position{}, false
	}
	since = r.revoked.position()
	key := r.seal.recordKey(id)
	ctx, ended := spans.Start(ctx, "redis get")
	sealed, err := r.do(ctx, redisPatience, func(b rueidis.Builder) rueidis.Completed {
		return b.Getrange().Key(key).Start(0).End(maxSharedRecord).Build()
	}).AsBytes()
	ended(err)
	if err != nil {
		r.noteFailure(err)
		sharedLookups.WithLabelValues("error").Inc()
		return nil, since, false
	}
	if len(sealed) == 0 {
		sharedLookups.WithLabelValues("miss").Inc()
		return nil, since, false
	}
	if record, ok = r.openRecord(key, id, sealed); !ok {
		sharedLookups.WithLabelValues("rejected").Inc()
		return nil, since, false
	}
	sharedLookups.WithLabelValues("hit").Inc()
	return record, since, true
}

// openRecord returns the record in what was found under a key, unless it is
// forged, has ended, or was revoked.
func (r *redisStore) openRecord(key string, id RecordID, sealed []byte) ([]byte, bool) {
	if len(sealed) > maxSharedRecord {
		return nil, false
	}
	text, err := r.seal.openRecord(key, id.Settings, r.now(), sealed)
	if err != nil {
		return nil, false
	}
	var found sharedRecord
	if json.Unmarshal(text, &found) != nil {
		return nil, false
	}
	return found.Record, r.revoked.allow(found.Since, r.name(id.Token), found.Client, found.Subject)
}

func (r *redisStore) set(ctx context.Context, id RecordID, since Position, record []byte, t *token.Token, lifetime time.Duration) {
	if since.Run == "" || lifetime < time.Millisecond || !r.usable.Load() {
		return
	}
	text, err := json.Marshal(sharedRecord{since, t.ClientID, t.Subject, record})
	if err != nil {
		return
	}
	key := r.seal.recordKey(id)
	sealed := r.seal.sealRecord(key, id.Settings, r.now().Add(lifetime), text)
	if len(sealed) > maxSharedRecord {
		return
	}
	ctx, ended := spans.Start(ctx, "redis set")
	err = r.do(ctx, redisPatience, func(b rueidis.Builder) rueidis.Completed {
		return b.Set().Key(key).Value(rueidis.BinaryString(sealed)).PxMilliseconds(lifetime.Milliseconds()).Build()
	}).Error()
	ended(err)
	if err != nil {
		r.noteFailure(err)
	}
}

// revoke writes a revocation into the log. If that fails the revocation waits,
// and nothing is read from Redis before it has been written.
func (r *redisStore) revoke(ctx context.Context, entry revocation) error {
	err := r.publish(ctx, entry)
	if err == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.usable.Store(false)
	r.waiting.add(entry)
	return fmt.Errorf("redis does not answer: forgotten on this gateway only, and on the others as soon as it answers: %w", err)
}

// publish writes an entry of the log.
func (r *redisStore) publish(ctx context.Context, entry revocation) error {
	text, err := r.do(ctx, evictPatience, func(b rueidis.Builder) rueidis.Completed {
		return b.Xadd().Key(r.seal.logKey()).Maxlen().Almost().Threshold(logLength).Id("*").
			FieldValue().FieldValue(logField, rueidis.BinaryString(r.seal.sealEntry(entry.encode()))).Build()
	}).ToString()
	if err != nil {
		return err
	}
	id, err := parseEntryID(text)
	if err == nil {
		r.revoked.note(id, entry)
	}
	return err
}

var errNotConnected = errors.New("not connected")

// do sends a command and waits no longer than it may, whatever the library is
// doing: it may be connecting again, for example.
func (r *redisStore) do(ctx context.Context, patience time.Duration, build func(rueidis.Builder) rueidis.Completed) redisAnswer {
	client := r.client.Load()
	if client == nil {
		return redisAnswer{err: errNotConnected}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	answered := make(chan rueidis.RedisResult, 1)
	go func() {
		defer cancel()
		answered <- (*client).Do(ctx, build((*client).B()))
	}()
	select {
	case result := <-answered:
		return redisAnswer{result: result}
	case <-ctx.Done():
		select { // the answer may have come at the same time
		case result := <-answered:
			return redisAnswer{result: result}
		default:
			return redisAnswer{err: context.Cause(ctx)}
		}
	}
}

// redisAnswer is the answer to a command, or that there was none.
type redisAnswer struct {
	result rueidis.RedisResult
	err    error
}

func (a redisAnswer) Error() error {
	if a.err != nil {
		return a.err
	}
	return a.result.Error()
}

func (a redisAnswer) AsBytes() ([]byte, error) {
	if a.err != nil {
		return nil, a.err
	}
	return a.result.AsBytes()
}

func (a redisAnswer) ToString() (string, error) {
	if a.err != nil {
		return "", a.err
	}
	return a.result.ToString()
}

// noteFailure stops the use of a Redis that did not answer. One that answers
// with an error is available: it may be full, for example.
func (r *redisStore) noteFailure(err error) {
	if _, answered := rueidis.IsRedisErr(err); !answered {
		r.markDown(err)
	}
}

func (r *redisStore) markDown(err error) {
	r.mu.Lock()
	first := r.problem == nil
	r.problem = err
	r.usable.Store(false)
	r.mu.Unlock()
	if first {
		r.logger().Warn("redis is unavailable: this gateway works on its own until it answers", zap.Error(err))
	}
}

// markUp lets Redis be used again, once it knows of all revocations.
func (r *redisStore) markUp(ctx context.Context) error {
	for {
		r.mu.Lock()
		next, some := r.waiting.first()
		if !some {
			back := r.problem != nil || !r.usable.Load()
			r.problem = nil
			r.usable.Store(true)
			r.mu.Unlock()
			if back {
				r.logger().Info("redis is available")
			}
			return nil
		}
		r.mu.Unlock()
		if err := r.publish(ctx, next); err != nil {
			return err
		}
		r.waiting.done(next)
	}
}

// logger returns Caddy's logger of this moment: the store outlives
// configurations and their logs.
func (r *redisStore) logger() *zap.Logger {
	return caddy.Log().Named("gluu.redis").With(zap.Strings("address", r.option.InitAddress))
}

func (r *redisStore) status() *SharedStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &SharedStatus{Address: r.option.InitAddress[0], State: SharedUnavailable, Waiting: r.waiting.count()}
	if r.usable.Load() {
		s.State = SharedOK
	}
	if r.problem != nil {
		s.LastError = r.problem.Error()
	}
	return s
}
