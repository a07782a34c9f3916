// SPDX-License-Identifier: Apache-2.0

// Package consumer knows the parties that OAuth clients act for.
//
// A consumer has a username, an id (a UUID) and a custom_id: the client id
// under which its requests arrive. The gateway looks the client of a verified
// token up by that custom_id and tells the upstream which consumer calls.
//
// A Directory answers lookups. It joins two sources: the consumers of the
// configuration, which never change while it runs, and a Store of live
// consumers, which are created, changed and deleted without a reload and kept
// in Caddy's storage, so that gateways that share a storage share consumers.
// Where both claim a name, the configuration wins.
//
// Lookups take no lock and allocate nothing, however many consumers there
// are. The package knows nothing of HTTP.
package consumer
