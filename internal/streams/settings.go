// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Config says when streams end.
type Config struct {
	// Whether a stream ends with its token: when the token expires, and when the
	// authorization server, asked again, does not vouch for it any more.
	// Revocations, `max_age` and operators end streams in any case. Default: true.
	EndWithToken *bool `json:"end_with_token,omitempty"`

	// How long a stream may go on after the `exp` of its token. It gives clients
	// time to come back with a new one. A revocation is not delayed. Default: 0.
	Grace caddy.Duration `json:"grace,omitempty"`

	// The longest that a stream may be open, for tokens that are good for days.
	// Default: as long as its token is good.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// How often the authorization server is asked about an introspected token
	// whose stream is open. Default: `max_age` of the cache.
	Recheck caddy.Duration `json:"recheck,omitempty"`

	// Streams end by up to this much earlier than they have to, so that clients
	// of the same age do not all come back at once; by at most a tenth of the time
	// that is left. Default: 5s.
	Jitter *caddy.Duration `json:"jitter,omitempty"`

	// The code of the WebSocket Close frame: 3000 (unauthorized), or 1008 (policy
	// violation) for clients that know the codes of RFC 6455 alone. Default: 3000.
	CloseCode int `json:"close_code,omitempty"`

	// The name of a last server-sent event, whose data is the reason. Without a name
	// an event stream just ends, and browsers connect again. Default: none.
	SSEEvent string `json:"sse_event,omitempty"`
}

const defaultJitter = 5 * time.Second

// Check returns an error for values that cannot be meant.
func (c *Config) Check() error {
	if c == nil {
		return nil
	}
	if err := c.checkValues(); err != nil {
		return fmt.Errorf("streams: %w", err)
	}
	if c.EndWithToken != nil && !*c.EndWithToken && (c.Grace != 0 || c.Recheck != 0) {
		return errors.New("streams: grace and recheck are about the end of the token, which 'end_with_token off' ignores: remove one or the other")
	}
	return nil
}

// checkValues refuses what is wrong with an option by itself.
func (c *Config) checkValues() error {
	durations := []struct {
		name  string
		value caddy.Duration
	}{{"grace", c.Grace}, {"max_age", c.MaxAge}, {"recheck", c.Recheck}, {"jitter", valueOf(c.Jitter)}}
	for _, d := range durations {
		if d.value < 0 {
			return fmt.Errorf("%s cannot be negative, got %s", d.name, time.Duration(d.value))
		}
	}
	if c.CloseCode != 0 && c.CloseCode != codeUnauthorized && c.CloseCode != codePolicy {
		return fmt.Errorf("close_code is 3000 or 1008, not %d", c.CloseCode)
	}
	if strings.ContainsFunc(c.SSEEvent, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errors.New("sse_event is a name on one line")
	}
	return nil
}

func valueOf(d *caddy.Duration) caddy.Duration {
	if d == nil {
		return 0
	}
	return *d
}

// limits are a Config with its defaults.
type limits struct {
	endWithToken                   bool
	grace, maxAge, recheck, jitter time.Duration
	closeCode                      int
	event                          string
}

func (c *Config) limits(cacheMaxAge time.Duration) limits {
	if c == nil {
		c = new(Config)
	}
	l := limits{
		endWithToken: c.EndWithToken == nil || *c.EndWithToken,
		grace:        time.Duration(c.Grace),
		maxAge:       time.Duration(c.MaxAge),
		recheck:      time.Duration(c.Recheck),
		jitter:       defaultJitter,
		closeCode:    codeUnauthorized,
		event:        c.SSEEvent,
	}
	if c.Jitter != nil {
		l.jitter = time.Duration(*c.Jitter)
	}
	if l.recheck == 0 {
		l.recheck = cacheMaxAge
	}
	if c.CloseCode != 0 {
		l.closeCode = c.CloseCode
	}
	return l
}
