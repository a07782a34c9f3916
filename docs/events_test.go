// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() {
	caddy.RegisterModule(execHandler{})
}

// execHandler takes the place of github.com/mholt/caddy-events-exec, with the
// syntax of its Caddyfile: a command and its arguments.
type execHandler struct {
	Command string   `json:"command,omitempty"`
	Args    []string `json:"args,omitempty"`
}

func (execHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.exec", New: func() caddy.Module { return new(execHandler) }}
}

func (execHandler) Handle(context.Context, caddy.Event) error { return nil }

func (h *execHandler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		if !d.Args(&h.Command) {
			return d.ArgErr()
		}
		h.Args = d.RemainingArgs()
	}
	return nil
}
