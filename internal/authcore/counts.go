// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"context"
	"sync"
	"time"

	"github.com/caddy-gluu/gateway/internal/store"
)

const (
	// recountInterval is how often records at their limit are counted again, and
	// countPage how many are read at a time.
	recountInterval = time.Minute
	countPage       = 1000

	// maxCounters bounds what is kept in memory; clients are a bounded number.
	maxCounters = 100_000
)

// counter is about how many records there are with an index entry: those that were there
// when they were counted, and those that this gateway has stored since. Counting at each
// request would cost more than it protects.
type counter struct {
	mu      sync.Mutex
	n       int
	counted time.Time // zero: never
}

// reserve counts one more record, and reports whether there are as many as the limit
// already. Some of those counted may have expired since, so at the limit they are counted
// again.
func (s *Store) reserve(ctx context.Context, kind string, by store.Entry, limit int) (full bool, err error) {
	c := s.counter(kind + "\x00" + by.Kind + "\x00" + string(by.Value))
	c.mu.Lock()
	defer c.mu.Unlock()
	full = c.n >= limit
	if c.counted.IsZero() || full && s.now().Sub(c.counted) >= recountInterval {
		if c.n, err = s.count(ctx, kind, by, limit); err != nil {
			return false, err
		}
		c.counted = s.now()
		full = c.n >= limit
	}
	if !full {
		c.n++
	}
	return full, nil
}

// free counts one record less: it was deleted before its time.
func (s *Store) free(kind string, by store.Entry) {
	c := s.counter(kind + "\x00" + by.Kind + "\x00" + string(by.Value))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n = max(0, c.n-1)
}

func (s *Store) counter(name string) *counter {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts[name]
	if c == nil {
		if len(s.counts) >= maxCounters {
			clear(s.counts)
		}
		c = new(counter)
		s.counts[name] = c
	}
	return c
}

// count reads how many records there are, up to the limit.
func (s *Store) count(ctx context.Context, kind string, by store.Entry, limit int) (n int, err error) {
	var after []byte
	for {
		found, next, err := s.records.List(ctx, kind, by, after, countPage)
		if err != nil {
			return 0, err
		}
		if n += len(found); next == nil || n >= limit {
			return n, nil
		}
		after = next
	}
}
