// SPDX-License-Identifier: Apache-2.0

// Package sessionpool opens the sessions of people for the handlers of a
// configuration: in which store, sealed with which keys, and shared with the
// configurations before and after. Package session knows what a session is.
package sessionpool
