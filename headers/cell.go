// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"sync"
	"sync/atomic"
	"time"
)

// Cell keeps what was signed for one original token, so that there is one
// signature per token and not one per request. It belongs into whatever is
// kept with the token.
type Cell struct {
	signed atomic.Pointer[Signed]
	mu     sync.Mutex
}

// Get returns what the cell holds, and calls sign if that is nothing or due to
// be renewed. Of concurrent callers one signs and the others wait for it. If a
// renewal fails, what the cell holds serves until it expires.
func (c *Cell) Get(now time.Time, sign func() (*Signed, error)) (*Signed, error) {
	if held := c.signed.Load(); held != nil && now.Before(held.RenewAt) {
		return held, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	held := c.signed.Load()
	if held != nil && now.Before(held.RenewAt) {
		return held, nil
	}
	signed, err := sign()
	if err != nil {
		if held != nil && now.Before(held.ExpiresAt) {
			return held, nil
		}
		return nil, err
	}
	c.signed.Store(signed)
	return signed, nil
}
