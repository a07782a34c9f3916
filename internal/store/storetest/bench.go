// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-gluu/gateway/internal/store"
)

// Bench measures what a token endpoint does: reading a record, and rotating a
// refresh token, which is two records in one Commit; each by one request after
// the other, and by many at once.
func (s Suite) Bench(b *testing.B) {
	place := s.New(b)
	st := open(b, place, store.Options{})
	value := strings.Repeat("v", 400)
	b.Run("Get", func(b *testing.B) {
		commit(b, st, store.Put(record("grant", "g", value, "alice")))
		for b.Loop() {
			get(b, st, "grant", "g")
		}
	})
	b.Run("Rotate", func(b *testing.B) {
		rotation := newRotation(b, st, "alone", value)
		for b.Loop() {
			rotation.rotate(b)
		}
	})
	var family atomic.Int64 // the function runs more than once
	b.Run("RotateParallel", func(b *testing.B) {
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			rotation := newRotation(b, st, fmt.Sprint("family", family.Add(1)), value)
			for pb.Next() {
				rotation.rotate(b)
			}
		})
	})
}

// rotation is a family of refresh tokens.
type rotation struct {
	store   *store.Store
	family  string
	value   string
	current store.Record
	n       int
}

func newRotation(b *testing.B, st *store.Store, family, value string) *rotation {
	r := &rotation{store: st, family: family, value: value}
	if err := st.Commit(b.Context(), store.Put(r.token())); err != nil {
		b.Error(err)
	}
	r.current = r.read(b)
	return r
}

func (r *rotation) token() store.Record {
	return record("refresh", fmt.Sprint(r.family, ".", r.n), r.value, r.family)
}

func (r *rotation) read(b *testing.B) store.Record {
	found, err := r.store.Get(b.Context(), "refresh", r.token().Key)
	if err != nil {
		b.Error(err)
	}
	return found
}

func (r *rotation) rotate(b *testing.B) {
	r.n++
	if err := r.store.Commit(b.Context(), store.Remove(r.current), store.Create(r.token())); err != nil {
		b.Error(errors.Join(errors.New("rotating"), err))
	}
	r.current = r.read(b)
}
