// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"math"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/caddy-gluu/gateway/internal/token"
)

const (
	// DefaultMemory is how many bytes verified tokens may take, if there are no
	// more than DefaultSize.
	DefaultMemory = 256 << 20
	DefaultSize   = 100_000

	// ordinary is the weight of a token that takes no more than its share of the
	// memory.
	ordinary = 64

	refusalSize = 256 // bytes of a refusal with its entry, its text aside
)

// weigher makes one bound of two, the number of entries and their memory. An entry
// that takes no more than its share, the memory divided by the number, weighs as
// much as any other, so that the number keeps its meaning; a larger one weighs
// more in proportion.
type weigher struct{ share uint64 } // bytes

func newWeigher(s Settings) weigher {
	memory := s.Memory
	if memory == 0 {
		memory = max(DefaultMemory, uint64(s.Size)*(DefaultMemory/DefaultSize))
	}
	return weigher{max(1, memory/uint64(max(1, s.Size)))}
}

// of returns the weight of an entry of so many bytes.
func (w weigher) of(size int) uint32 {
	weight := (uint64(size)*ordinary + w.share - 1) / w.share
	return uint32(min(max(weight, ordinary), math.MaxUint32))
}

// maximum returns the weight of so many ordinary entries.
func (w weigher) maximum(entries int) uint64 { return uint64(entries) * ordinary }

// Reweigh is called when a handler has kept something large with a token, such as
// the headers that it sends to the upstream: they may be larger than the token.
func (c *Cache) Reweigh(key Key, t *token.Token) {
	c.positive.ComputeIfPresent(key, func(entry verified) (verified, otter.ComputeOp) {
		weight := c.weigh.of(t.Size())
		if entry.token != t || entry.weight == weight {
			return entry, otter.CancelOp
		}
		entry.weight = weight
		entry.lifetime = max(time.Until(time.Unix(0, entry.stale)), time.Nanosecond)
		return entry, otter.WriteOp
	})
}
