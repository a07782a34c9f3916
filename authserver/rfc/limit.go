// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/internal/clientauth"
	"github.com/caddy-gluu/gateway/internal/clientlimit"
)

// Limits turn those away who fail to authenticate too often. A client that knows its
// secret is turned away only for what its own network does in its name.
type Limits struct {
	// Client is for one client from one network, Address for one network.
	Client, Address Rate

	Now func() time.Time

	mu       sync.Mutex
	failures map[string]*window
}

// Rate is how many failures are allowed within a time; 0: any number.
type Rate struct {
	N      int
	Period time.Duration
}

// window counts the failures of one period.
type window struct {
	since time.Time
	n     int
}

// maxWindows bounds what is remembered.
const maxWindows = 50_000

// allows reports whether fewer failures than the rate allows were noted.
func (l *Limits) allows(key string, rate Rate) bool {
	if rate.N == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.failures[key]
	return w == nil || l.Now().Sub(w.since) >= rate.Period || w.n < rate.N
}

func (l *Limits) note(key string, rate Rate) {
	if rate.N == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.Now()
	w := l.failures[key]
	if w == nil || now.Sub(w.since) >= rate.Period {
		l.makeRoom(now)
		w = &window{since: now}
		l.failures[key] = w
	}
	w.n++
}

// makeRoom forgets windows that are over, or all if there are none.
func (l *Limits) makeRoom(now time.Time) {
	if l.failures == nil {
		l.failures = make(map[string]*window)
	}
	if len(l.failures) < maxWindows {
		return
	}
	for key, w := range l.failures {
		if now.Sub(w.since) >= max(l.Client.Period, l.Address.Period) {
			delete(l.failures, key)
		}
	}
	if len(l.failures) >= maxWindows {
		clear(l.failures)
	}
}

// limited authenticates a client unless it, or its network, has failed too often.
func (c *call) limited(form url.Values, authenticate func() (*authcore.Client, error)) (client *authcore.Client, err error) {
	name := form.Get("client_id")
	if id, _, ok := c.r.BasicAuth(); ok {
		name = id
	}
	if len(name) > 255 {
		name = name[:255]
	}
	known := func() bool { return c.isRemembered(form) }
	err = c.withLimit(name, known, func() error {
		client, err = authenticate()
		return err
	})
	return client, err
}

// limitedSource is for keys that are not a client's.
func (c *call) limitedSource(check func() error) error {
	return c.withLimit("", func() bool { return false }, check)
}

// isRemembered reports whether a client sends the secret that was right before.
func (c *call) isRemembered(form url.Values) bool {
	sent := []clientauth.Credentials{{ID: form.Get("client_id"), Secret: form.Get("client_secret")}}
	if headers := c.r.Header["Authorization"]; len(headers) == 1 {
		var err error
		if sent, err = readBasic(headers[0], form.Get("client_id")); err != nil {
			return false
		}
	}
	return c.Auth.Remembers(c.r.Context(), sent...)
}

func (c *call) withLimit(name string, isKnown func() bool, check func() error) error {
	if c.Limits == nil {
		return check()
	}
	network := clientlimit.NetworkOf(c.r.Context())
	pair := "c\x00" + network + "\x00" + name
	if (!c.Limits.allows("a\x00"+network, c.Limits.Address) || name != "" && !c.Limits.allows(pair, c.Limits.Client)) && !isKnown() {
		return refuse(http.StatusTooManyRequests, "temporarily_unavailable", reasonLimit, "too many failed authentications; try again later")
	}
	err := check()
	if err != nil && refusalOf(err).status == http.StatusUnauthorized {
		c.Limits.note("a\x00"+network, c.Limits.Address)
		if name != "" {
			c.Limits.note(pair, c.Limits.Client)
		}
	}
	return err
}
