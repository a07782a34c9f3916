// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// sweepUntil deletes every minute what has expired.
func (s *Store) sweepUntil(ctx context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.logger.Error("deleting expired records of the store; the next attempt is in a minute", zap.Error(err))
		}
	}
}

// Sweep deletes what has expired, 1,000 records at a time so that requests get
// their turn in between, and returns how many records it has deleted.
func (s *Store) Sweep(ctx context.Context) (deleted int, err error) {
	for {
		n, err := s.sweepBatch(ctx)
		deleted += n
		if err != nil {
			return deleted, failure("deleting expired records", err)
		}
		if n < sweepBatch {
			return deleted, nil
		}
	}
}

func (s *Store) sweepBatch(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.engine.Sweep(ctx, s.now(), sweepBatch)
}
