// SPDX-License-Identifier: Apache-2.0

// Package store keeps what must outlive a request and be the same on all
// gateways: grants, codes, refresh tokens, sessions, used `jti`s. It knows
// nothing of any of them. A record has a kind, a key, a value, an expiry, up to
// four index entries and a version, and there are five operations:
//
//   - [Store.Get] reads a record.
//   - [Store.Commit] writes several, all or none. Each write may name the
//     version of the record that it replaces, so redeeming a code once is one
//     Commit, and so is rotating a refresh token.
//   - [Store.List] reads the records with an index entry.
//   - [Store.Watch] tells of changes that other gateways announced.
//   - [Store.Sweep] deletes what has expired. It runs by itself.
//
// A code is redeemed once, however many requests bring it at the same moment:
//
//	code, err := s.Get(ctx, "code", id)
//	...
//	err = s.Commit(ctx, store.Remove(code), store.Create(token))
//	if errors.Is(err, store.ErrConflict) {
//		// another request was first
//	}
//
// Where the records are is up to an [Engine]: a file (package embedded),
// PostgreSQL (package postgres) or Redis (package redis). All of them pass the
// same tests (package storetest).
//
// # What the engine learns
//
// Values are sealed together with their index entries and their expiry, and
// bound to kind, key and version. Read access to the database shows none of them;
// write access does not allow forging one, moving one or making one last longer.
// Index entries are keyed hashes. A key is stored as its SHA-256. That hides a
// token, which cannot be guessed, and does not hide a user name: what names a
// person belongs in the index or the value, not in the key.
//
// Write access to the database does allow deleting records, and putting a record
// back as it once was.
//
// # Time
//
// A record that has expired by the clock of this gateway is never returned and
// counts as absent. The engine drops it within five minutes; one that several
// gateways share does so by its server's clock too, so that a gateway whose clock
// is ahead deletes nothing that others still need.
//
// # Failure
//
// [ErrUnavailable] says that there was no answer, in time or at all. It never
// means that a record is absent. A Commit that fails with it may have taken
// effect: a request that must know reads the records again.
package store
