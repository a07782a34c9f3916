// SPDX-License-Identifier: Apache-2.0

// Package events emits Caddy events, so that operators can react to refusals
// and revocations: raise an alarm, block an address, tell another system.
//
// An event costs nothing if no handler subscribes to it:
//
//	if emitter.Enabled(events.Refused) {
//		emitter.Emit(events.Refused, map[string]any{...})
//	}
//
// The data of an event goes to programs of the operator. It never contains a
// token or a secret.
package events

import (
	"fmt"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

// Names of events. They and the names of their data never change their meaning.
const (
	Refused      = "gluu.refused"
	TokenRevoked = "gluu.token_revoked"
	LoggedIn     = "gluu.logged_in"
	LoggedOut    = "gluu.logged_out"
)

const appID = "events"

// Emitter emits the events of one module. The nil Emitter emits none.
type Emitter struct {
	app     *caddyevents.App
	ctx     caddy.Context
	started atomic.Bool
}

// NewEmitter returns an Emitter for the module that is being provisioned.
func NewEmitter(ctx caddy.Context) (*Emitter, error) {
	app, err := ctx.App(appID)
	if err != nil {
		return nil, fmt.Errorf("loading the events app: %w", err)
	}
	return &Emitter{app: app.(*caddyevents.App), ctx: ctx}, nil
}

// Enabled reports whether something subscribes to an event, or logs it.
func (e *Emitter) Enabled(name string) bool {
	return e != nil && e.hasStarted() && e.app.ShouldEmit(name)
}

// Emit calls the handlers that subscribe to an event, one after the other, and
// returns when they do.
func (e *Emitter) Emit(name string, data map[string]any) {
	if e.Enabled(name) {
		e.app.Emit(e.ctx, name, data)
	}
}

// hasStarted reports whether the configuration has started. Caddy starts its
// apps in any order, and a request may come before the events app has filled
// its map of subscriptions, which has no lock.
func (e *Emitter) hasStarted() bool {
	if e.started.Load() {
		return true
	}
	running, err := caddy.ActiveContext().AppIfConfigured(appID)
	if err != nil || running != any(e.app) {
		return false
	}
	e.started.Store(true)
	return true
}
