// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/apps"
)

func init() {
	caddy.RegisterModule(App{})
}

// appName is the app's id among Caddy's.
const appName = "gluu_oauth_server"

// App starts the authorization servers of a configuration. It has no settings
// and need not be configured: handlers have no start of their own in Caddy,
// apps have, and a configuration that is only validated must neither lock the
// token storage of a running gateway nor make a key.
type App struct {
	ctx     caddy.Context
	servers []*Server
}

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  appName,
		New: func() caddy.Module { return new(App) },
	}
}

// Provision keeps the context of the configuration.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx = ctx
	return nil
}

// startWith has a server started together with its configuration.
func startWith(ctx caddy.Context, s *Server) error {
	module, err := ctx.App(appName)
	if err != nil {
		return err
	}
	app := module.(*App)
	if len(app.servers) == 0 {
		starting.Add(app)
	}
	app.servers = append(app.servers, s)
	return s.lendClients(app.servers)
}

// Start starts the servers. What they hold is given back by their Cleanup,
// also when this fails.
func (a *App) Start() error {
	signs := make(map[string]bool) // whether an issuer signs ID tokens
	for _, s := range a.servers {
		signs[s.issuer.Name] = signs[s.issuer.Name] || s.rfc.SignsIDTokens()
	}
	for _, s := range a.servers {
		s.rfc.HasIDKey = signs[s.issuer.Name]
		if err := s.checkHasClients(); err != nil {
			return fmt.Errorf("gluu_oauth_server of %s: %w", s.issuer.Name, err)
		}
		if err := s.start(a.ctx); err != nil {
			return fmt.Errorf("gluu_oauth_server of %s: %w", s.issuer.Name, err)
		}
	}
	started.Add(a)
	starting.Remove(a)
	return nil
}

// Stop only says that the app no longer runs: requests that are still being served need what the
// servers hold until their configuration is cleaned up.
func (a *App) Stop() error {
	started.Remove(a)
	return nil
}

// Cleanup forgets an app whose configuration was only validated, or failed to start.
func (a *App) Cleanup() error {
	starting.Remove(a)
	return nil
}

// started are the apps that run, and starting those with servers that do not run yet.
var started, starting apps.Running[*App]

// IsStarting reports whether a configuration with servers is about to run. Caddy starts
// apps one after the other, and others of its apps may answer before.
func IsStarting() bool { return starting.Current() != nil }

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
