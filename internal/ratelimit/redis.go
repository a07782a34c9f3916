// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// Redis keeps counters in Redis or Valkey. Keys are hashed, so that the store
// does not say who has called.
type Redis struct {
	option rueidis.ClientOption
	client atomic.Pointer[rueidis.Client]
	stop   context.CancelFunc
	done   chan struct{}
}

// drawTimeout is how long a request waits for a lease.
const drawTimeout = 200 * time.Millisecond

// grace is how long a counter outlives its window: clocks differ.
const grace = time.Minute

// drawScript adds to a counter up to a limit.
var drawScript = rueidis.NewLuaScript(`
local used = redis.call('INCRBY', KEYS[1], ARGV[1])
local n, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
if used == n then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
local granted = math.max(math.min(n, limit - (used - n)), 0)
if granted < n then redis.call('DECRBY', KEYS[1], n - granted) end
return {granted, math.max(limit - (used - n + granted), 0)}
`)

// OpenRedis connects in the background: a Redis that is unavailable delays
// neither the start nor a request.
func OpenRedis(option rueidis.ClientOption) *Redis {
	ctx, stop := context.WithCancel(context.Background())
	r := &Redis{option: option, stop: stop, done: make(chan struct{})}
	go r.connect(ctx)
	return r
}

func (r *Redis) connect(ctx context.Context) {
	defer close(r.done)
	for ctx.Err() == nil {
		client, err := rueidis.NewClient(r.option)
		if err == nil {
			r.client.Store(&client)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// Close ends the connection.
func (r *Redis) Close() {
	r.stop()
	<-r.done
	if client := r.client.Load(); client != nil {
		(*client).Close()
	}
}

var errNotConnected = errors.New("not connected to Redis yet")

// Draw implements [Shared].
func (r *Redis) Draw(ctx context.Context, key string, n, limit int64, end time.Time) (granted, left int64, err error) {
	client := r.client.Load()
	if client == nil {
		return 0, 0, errNotConnected
	}
	// A client that hangs up must not make a lease get lost.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drawTimeout)
	defer cancel()
	sum := sha256.Sum256([]byte(key))
	life := max(time.Until(end), 0) + grace
	answer, err := drawScript.Exec(ctx, *client, []string{"gluu:limit:" + base64.RawURLEncoding.EncodeToString(sum[:16])},
		[]string{strconv.FormatInt(n, 10), strconv.FormatInt(limit, 10), strconv.FormatInt(life.Milliseconds(), 10)}).AsIntSlice()
	if err == nil && len(answer) != 2 {
		err = errors.New("unexpected answer of Redis")
	}
	if err != nil {
		return 0, 0, err
	}
	return answer[0], answer[1], nil
}

// Interface guard
var _ Shared = (*Redis)(nil)
