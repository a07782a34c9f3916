// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/testenv"
	"github.com/caddy-gluu/gateway/internal/token"
)

// All streams of a token end with it, and within a second: when it expires, for which
// one timer stands, and when it is revoked.
func TestTenThousandStreamsEndInASecond(t *testing.T) {
	const count = 10_000
	for name, revoke := range map[string]bool{"expired": false, "revoked": true} {
		t.Run(name, func(t *testing.T) {
			r := NewRegister()
			l := (&Config{Jitter: new(caddy.Duration)}).limits(time.Hour)
			caller := expiring(time.Hour)
			var ended, early atomic.Int64
			ending := endFunc(func(reason Reason) {
				if !revoke && time.Now().Before(caller.Token.ExpiresAt) {
					early.Add(1)
				}
				ended.Add(1)
			})
			report := reportFunc(func(*Stream, Reason) {})
			streams := make([]*Stream, count)
			began := time.Now().Add(time.Second)
			if !revoke {
				caller.Token.ExpiresAt = began
			}
			for i := range streams {
				streams[i] = r.begin(EventStream, requestInfo{}, caller, &l, report)
				streams[i].arm(EventStream, ending)
			}
			if revoke {
				began = time.Now()
				r.EndTokens(func(*token.Token, string) bool { return true })
			}
			waitFor(t, "all streams to end", func() bool { return ended.Load() == count })
			took := time.Since(began)
			t.Logf("%d streams ended within %s", count, took)
			limit := time.Second
			if testenv.RaceDetector {
				limit *= 10
			}
			if took > limit {
				t.Errorf("the last stream ended after %s, want %s at most", took, limit)
			}
			if n := early.Load(); n > 0 {
				t.Errorf("%d streams ended before their token", n)
			}
			for _, s := range streams {
				s.close()
			}
			if r.Len() != 0 || len(r.due) != 0 {
				t.Errorf("%d streams and %d times are left over", r.Len(), len(r.due))
			}
		})
	}
}
