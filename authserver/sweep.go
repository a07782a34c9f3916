// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/zap"
)

// sweepUntilClosed deletes expired tokens every minute.
func (f *tokenFile) sweepUntilClosed() {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-f.closing:
			return
		case <-ticker.C:
		}
		if err := f.sweep(); err != nil {
			f.logger.Error("deleting expired tokens", zap.String("file", f.path), zap.Error(err))
		}
	}
}

// sweep deletes the tokens that have expired, a batch at a time so that
// requests get their turn in between. Where there are none it writes nothing.
func (f *tokenFile) sweep() (err error) {
	// A damaged page makes bbolt panic; that must not end the process.
	defer func() {
		if damage := recover(); damage != nil {
			err = fmt.Errorf("the file is damaged: %v", damage)
		}
	}()
	for {
		select {
		case <-f.closing:
			return nil
		default:
		}
		found := false
		err := f.db.View(func(tx *bbolt.Tx) error {
			found = len(expiredBefore(tx, f.now().Unix(), 1)) > 0
			return nil
		})
		if err != nil || !found {
			return err
		}
		swept := make(map[string]int)
		deleted := 0
		err = f.db.Update(func(tx *bbolt.Tx) error {
			expired := expiredBefore(tx, f.now().Unix(), sweepBatch)
			deleted = len(expired)
			for key, owner := range expired {
				if err := tx.Bucket(expiryBucket).Delete([]byte(key)); err != nil {
					return err
				}
				if err := tx.Bucket(tokensBucket).Delete([]byte(key)[8:]); err != nil {
					return err
				}
				swept[owner]++
			}
			return nil
		})
		if err != nil {
			return err
		}
		for owner, n := range swept {
			f.release(owner, n)
		}
		if deleted < sweepBatch {
			return nil
		}
	}
}

// expiredBefore returns up to n keys of the expiry bucket whose time has come,
// and whose they are.
func expiredBefore(tx *bbolt.Tx, now int64, n int) map[string]string {
	expired := make(map[string]string)
	cursor := tx.Bucket(expiryBucket).Cursor()
	for key, owner := cursor.First(); key != nil && len(expired) < n; key, owner = cursor.Next() {
		if binary.BigEndian.Uint64(key) > uint64(max(now, 0)) {
			break
		}
		expired[string(key)] = string(owner)
	}
	return expired
}
