// SPDX-License-Identifier: Apache-2.0

// Package storagelock coordinates gateways that share Caddy's storage: Acquire
// takes a named lock there, and the function that it returns gives it back.
//
// certmagic's Locker leaves open what to do when Unlock fails. Here is the one
// answer. Giving a lock back never fails and never takes its caller longer than
// a second, whatever the storage does: a reload must not wait for it. A lock
// that the storage has not taken back is offered again in the background, first
// after half a second, then less and less often for about a day. Forgetting it
// would be worse, because FileStorage keeps a lock file fresh until the file is
// gone: every gateway would be locked out until this process ends.
//
// Until it has been given back it counts as not held. The next caller in this
// process that needs it offers it again first, also after a reload has made
// another value for the same storage, and takes it anew from the storage. It is
// never simply used on: a storage whose lease has run out meanwhile may have
// given it to another gateway.
//
// The lock is for rare and expensive work, as the Locker's documentation says:
// taking it costs a synced write and possibly a second of waiting. Work that
// comes often is collected and done under one lock. As certmagic does, expect
// that two gateways may, rarely, believe to hold it: read again under the lock,
// and write in such a way that a reader never sees half of it.
package storagelock
