// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/provider"
)

// readiness is something without which the gateway cannot decide.
type readiness struct {
	what  string
	check func(ctx context.Context) error
}

// ReadyWhen adds a condition for a gateway that takes part in a load balancer. A
// handler calls it while it is provisioned. The check is called for each question
// and returns what is missing; it must not wait for longer than its context.
func (a *App) ReadyWhen(what string, check func(ctx context.Context) error) {
	a.ready.Add(readiness{what, check})
}

// Unready is why a gateway is not ready.
type Unready struct {
	What   string `json:"what"`
	Reason string `json:"reason"`
}

// readyTimeout bounds a question to a store.
const readyTimeout = 2 * time.Second

// Unready returns what is missing until this gateway can decide about requests: the
// metadata and keys of a provider, the live consumers, the store of the sessions,
// and what handlers have added. What was found once stays found: a server that is
// unavailable for a while does not make all gateways leave the load balancer.
func (a *App) Unready(ctx context.Context) []Unready {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	missing := []Unready{}
	for _, r := range a.conditions() {
		if err := r.check(ctx); err != nil {
			missing = append(missing, Unready{r.what, err.Error()})
		}
	}
	return missing
}

func (a *App) conditions() []readiness {
	var conditions []readiness
	for _, p := range a.all() {
		conditions = append(conditions, readiness{"provider " + p.name, p.isReady})
	}
	conditions = append(conditions, readiness{"consumers", a.consumersAreReady}, readiness{"sessions", a.sessions.Ping})
	conditions = append(conditions, readiness{"shutdown", notExiting})
	return append(conditions, a.ready.Get(func(all []readiness) []readiness { return all })...)
}

// exiting reports whether the process is ending. Tests replace it.
var exiting = caddy.Exiting

// notExiting fails during shutdown_delay: requests are still served then, so
// that a load balancer has the time to notice that it must send no more.
func notExiting(context.Context) error {
	if exiting() {
		return errors.New("the gateway is shutting down")
	}
	return nil
}

func (p *Provider) isReady(context.Context) error {
	if p.Embedded {
		return nil // in this process, and checked when the configuration loaded
	}
	status := p.server.Status()
	if status.Health != provider.HealthPending {
		return nil
	}
	if status.LastError != nil {
		return fmt.Errorf("not found yet: %s", status.LastError.Error)
	}
	return errors.New("not found yet")
}

func (a *App) consumersAreReady(context.Context) error {
	if !a.directory.Ready() {
		return errors.New("the live consumers cannot be read yet")
	}
	return nil
}
