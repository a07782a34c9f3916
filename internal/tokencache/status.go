// SPDX-License-Identifier: Apache-2.0

package tokencache

import "github.com/caddy-gluu/gateway/internal/token"

// Status is the state of the cache, for the operator.
type Status struct {
	Positive SegmentStatus `json:"positive"`
	Negative SegmentStatus `json:"negative"`
	Shared   *SharedStatus `json:"shared,omitempty"`
}

// SegmentStatus is the state of one segment: how many entries there are, how
// many ordinary ones fit, and how long an entry is used.
type SegmentStatus struct {
	Entries int    `json:"entries"`
	Size    uint64 `json:"size"`
	Age     string `json:"age"`
}

// SharedStatus is the state of the cache that gateways share.
type SharedStatus struct {
	Address   string `json:"address"`
	State     string `json:"state"`
	Waiting   int    `json:"waiting_revocations"` // not yet told to the other gateways
	LastError string `json:"last_error,omitempty"`
}

// The values of SharedStatus.State.
const (
	SharedOK          = "ok"
	SharedUnavailable = "away" // each gateway works on its own
)

// Status returns the state of the cache.
func (c *Cache) Status() Status {
	positive, negative := c.Sizes()
	status := Status{
		Positive: SegmentStatus{positive, c.positive.GetMaximum() / ordinary, c.settings.MaxAge.String()},
		Negative: SegmentStatus{negative, c.negative.GetMaximum() / ordinary, c.settings.NegativeAge.String()},
	}
	if c.shared != nil {
		status.Shared = c.shared.status()
	}
	return status
}

// Each visits the tokens that this process has verified and may use, until visit returns
// false. They come in no order.
func (c *Cache) Each(visit func(t *token.Token) bool) {
	for _, e := range c.positive.All() {
		if !visit(e.token) {
			return
		}
	}
}
