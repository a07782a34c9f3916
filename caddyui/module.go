// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/liveconfig"
	"github.com/caddy-gluu/gateway/internal/siteguard"
	"github.com/caddy-gluu/gateway/internal/storedsecret"
	"github.com/caddy-gluu/gateway/introspect"
)

func init() {
	caddy.RegisterModule(new(UI))
}

// UI is a handler that shows the gateway in a browser: what it does, why a request
// was refused, which consumers there are. It has no users and no passwords: people
// log in by gluu_openid_connect on the same site, have a client certificate, or
// open a link of the command `caddy gluu ui` on this machine.
type UI struct {
	// The address of this handler in Caddy's admin API: `/id/<name>`. In a Caddyfile
	// the option is called `id`. Default: none, the handler is found by its place.
	ID string `json:"@id,omitempty"`

	// Who may do what, by role: `admin`, `operator`, `viewer`. The value is a CEL
	// expression over the person (`id_token`, `userinfo`, `certificate`) that is
	// judged at each request. A person has the highest role whose expression is
	// true, and sees nothing if none is. Required unless `local` is true.
	Roles map[string]string `json:"roles,omitempty"`

	// What can be changed here at all, whatever the role: `consumers`, `policies` (the
	// rules of handlers), `config`, or `none` for pages that change nothing. A person who may edit the configuration can
	// make the gateway do anything. Default: `consumers`, and what changes no configuration:
	// tokens are forgotten, sessions and streams are ended.
	Edit []string `json:"edit,omitempty"`

	// The Caddyfile that the gateway was started with, if the configuration is edited
	// there. Default: the running configuration is edited as JSON.
	ConfigFile string `json:"config_file,omitempty"`

	// The test files of the policies, as `caddy gluu test` reads them: patterns such as
	// `/etc/caddy/policies/*_test.yaml`. The playground runs them, and an admin adds cases
	// to them with `edit policies`. Default: none.
	TestFiles []string `json:"test_files,omitempty"`

	// The address of Caddy's admin endpoint, where this process reads and changes its
	// own configuration. Default: that of the global option `admin`, `localhost:2019`.
	AdminEndpoint string `json:"admin_endpoint,omitempty"`

	// Where the pages begin, as a browser sees it, also behind `handle_path`: `/` or
	// a path such as `/gateway`. Requests for other paths go on to the next handler.
	// Default: `/`.
	PathPrefix string `json:"path_prefix,omitempty"`

	// Open the pages by a link of `caddy gluu ui` instead of a login. Who has the
	// link is an admin. The server must listen on loopback addresses or Unix sockets
	// alone. Default: false.
	Local bool `json:"local,omitempty"`

	app     *introspect.App
	roles   []roleRule
	guard   *guard
	signer  changeTokens
	doors   *doors // nil without local
	tails   *tailLimiter
	config  *configEditor
	place   place
	cleanup func()
	logger  *zap.Logger
	now     func() time.Time
}

// CaddyModule returns the Caddy module information.
func (*UI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.gluu_ui",
		New: func() caddy.Module { return new(UI) },
	}
}

// UnmarshalJSON implements json.Unmarshaler, for errors that name the option.
func (u *UI) UnmarshalJSON(text []byte) error {
	type plain UI
	return directive.UnmarshalJSON("gluu_ui", text, (*plain)(u))
}

// keyName is where the storage keeps the key of the tokens that changes need.
const keyName = "gluu/ui/change_token_key"

// keyTimeout bounds how long loading waits for the storage.
const keyTimeout = 10 * time.Second

// Provision sets up the handler.
func (u *UI) Provision(ctx caddy.Context) (err error) {
	if err := u.check(); err != nil {
		return err
	}
	u.logger, u.now = ctx.Logger(), time.Now
	if u.app, err = introspect.FromContext(ctx); err != nil {
		return err
	}
	if u.roles, err = compileRoles(u.Roles); err != nil {
		return err
	}
	place := placeOf(ctx)
	if err := u.checkPlace(place); err != nil {
		return err
	}
	if warning := place.insecureLogin(); warning != "" && !u.Local {
		u.app.AddWarning("gluu_ui of "+place.hosts[0], warning)
	}
	ending, end := context.WithCancel(ctx)
	registry := ctx.GetMetricsRegistry()
	u.guard, u.tails = newGuard(place), newTailLimiter(ending)
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		// A server that shuts down waits for its requests before the context ends.
		server.RegisterOnShutdown(end)
	}
	u.cleanup = end
	u.app.Background(func(ctx context.Context) { metricSamples.run(ctx, registry) })
	waiting, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	key, err := storedsecret.Get(waiting, ctx.Storage(), keyName, u.logger)
	if err != nil {
		return fmt.Errorf("the key of the UI: %w", err)
	}
	u.signer, u.place = changeTokens(key), place
	if u.config, err = newConfigEditor(u); err != nil {
		return err
	}
	if u.Local {
		doors, remove := openDoors(place.address(u.prefix()))
		u.doors, u.cleanup = doors, func() { end(); remove() }
	}
	return nil
}

// Cleanup implements caddy.CleanerUpper.
func (u *UI) Cleanup() error {
	if u.cleanup != nil {
		u.cleanup()
	}
	return nil
}

// check refuses what cannot be right, wherever the handler stands.
func (u *UI) check() error {
	switch {
	case u.Local && len(u.Roles) > 0:
		return errors.New("local and roles exclude each other: a link makes an admin, so remove one of them")
	case !u.Local && len(u.Roles) == 0:
		return errors.New(`roles are missing: write for example 'roles { admin "id_token.groups.exists(g, g == 'gateway-admins')" }', or 'local' for this machine alone`)
	}
	if _, err := compileRoles(u.Roles); err != nil {
		return err
	}
	for i, what := range u.Edit {
		switch {
		case !slices.Contains(editable, what):
			return fmt.Errorf("edit takes consumers, policies and config, or none, not %q", what)
		case slices.Contains(u.Edit[:i], what):
			return fmt.Errorf("edit has %s twice", what)
		case what == "none" && len(u.Edit) > 1:
			return fmt.Errorf("edit is none or something, got %q", u.Edit)
		}
	}
	if u.ConfigFile != "" && !u.mayEdit("config") {
		return errors.New("config_file is where the configuration is edited: write 'edit config' too, or remove it")
	}
	if strings.HasSuffix(u.ConfigFile, ".json") {
		return fmt.Errorf("config_file is a Caddyfile, not %q: leave it out, and the running configuration is edited as JSON", u.ConfigFile)
	}
	for _, pattern := range u.TestFiles {
		if _, err := filepath.Match(pattern, ""); err != nil || !strings.HasSuffix(pattern, ".yaml") && !strings.HasSuffix(pattern, ".yml") {
			return fmt.Errorf("test_files are YAML files, not %q: write a pattern such as /etc/caddy/policies/*_test.yaml", pattern)
		}
	}
	if _, err := liveconfig.NewEndpoint(u.AdminEndpoint); err != nil {
		return fmt.Errorf("admin_endpoint: %w", err)
	}
	if p := u.PathPrefix; p != "" && (!strings.HasPrefix(p, "/") || strings.Contains(p, "//") || strings.ContainsAny(p, "{}*?#%\\ ") || strings.Contains(p+"/", "/../") || strings.Contains(p+"/", "/./")) {
		return fmt.Errorf("path_prefix is a path such as /gateway, not %q", p)
	}
	return nil
}

// prefix is where the pages begin: "" or "/gateway".
func (u *UI) prefix() string { return strings.TrimSuffix(u.PathPrefix, "/") }

// isReadOnly reports whether the pages change nothing.
func (u *UI) isReadOnly() bool { return len(u.Edit) > 0 && u.Edit[0] == "none" }

// editable is what edit takes.
var editable = []string{"consumers", "policies", "config", "none"}

// mayEdit reports whether something can be changed on the pages at all.
func (u *UI) mayEdit(what string) bool {
	return slices.Contains(u.Edit, what) || len(u.Edit) == 0 && what == "consumers"
}

// checkPlace refuses a site on which the pages would be open to anyone.
func (u *UI) checkPlace(p place) error {
	switch {
	case u.Local && !p.isLocal:
		return fmt.Errorf("local opens the pages without a login, but the server listens on %q: write 'bind 127.0.0.1' into the site, or let people log in by gluu_openid_connect", p.listen)
	case u.Local:
		return nil
	case !p.hasLogin && !p.hasCertificates:
		return errors.New("the site lets no one log in: write gluu_openid_connect into it, or 'tls { client_auth { mode require_and_verify ... } }', or 'local' for this machine alone")
	case len(p.hosts) == 0:
		return errors.New("the site has no name, so that any page could be opened under a name of its own (DNS rebinding): write the host before the block of the site, for example admin.example.com")
	}
	return nil
}

// ServeHTTP answers a request for one of the pages, and passes on what is not
// below the prefix.
func (u *UI) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	path, ok := u.pathOf(r)
	if !ok {
		return next.ServeHTTP(w, r)
	}
	v := &visit{UI: u, w: w, r: r, path: path, nonce: newNonce()}
	v.secureHeaders()
	return v.serve()
}

// pathOf returns the path below the prefix. It is that of the request as the
// client sent it, so that links are right behind handle_path.
func (u *UI) pathOf(r *http.Request) (string, bool) {
	sent := r.URL.Path
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		sent = original.URL.Path
	}
	below, ok := strings.CutPrefix(sent, u.prefix())
	if !ok || below != "" && below[0] != '/' {
		return "", false
	}
	return below, true
}

// place is where the handler stands.
type place struct {
	hosts           []string
	listen          []string
	isSecure        bool
	isLocal         bool // no other machine reaches the server
	hasLogin        bool
	hasCertificates bool
}

func placeOf(ctx caddy.Context) (p place) {
	p.hosts, p.isSecure = siteguard.Address(ctx)
	p.hasLogin = siteguard.HasHandler(ctx, "gluu_openid_connect")
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return p
	}
	p.listen = server.Listen
	p.isLocal = len(server.Listen) > 0
	for _, address := range server.Listen {
		p.isLocal = p.isLocal && isLocal(address)
	}
	for _, policy := range server.TLSConnPolicies {
		auth := policy.ClientAuthentication
		if auth != nil && auth.Active() && auth.Mode != "request" && auth.Mode != "require" {
			p.hasCertificates = true
		}
	}
	return p
}

// insecureLogin says what is wrong with a login over plain http, "" for nothing.
func (p place) insecureLogin() string {
	if p.isSecure || p.isLocal || len(p.hosts) == 0 {
		return ""
	}
	return "people log in over plain http, so that anyone on the way can take over their session; write the address of the site as https://" +
		p.hosts[0] + ", unless a proxy in front of it has the certificate"
}

// Interface guards
var (
	_ caddy.Provisioner           = (*UI)(nil)
	_ caddy.CleanerUpper          = (*UI)(nil)
	_ caddyhttp.MiddlewareHandler = (*UI)(nil)
)
