// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/status"
)

// The app holds policy engines without knowing what they are: a build that leaves
// out the module with the id opaModule has no Open Policy Agent in it.
const (
	opaModule = "gluu.opa"

	// DefaultEngine is the name of the engine that a handler uses which names none.
	DefaultEngine = "default"
)

var errNoOPA = errors.New("this build of Caddy has no Open Policy Agent: build it with github.com/caddy-gluu/gateway/caddyopa")

// provisionEngines loads the engines, each in its own settings.
func (a *App) provisionEngines(ctx caddy.Context) error {
	for _, name := range slices.Sorted(maps.Keys(a.OPA)) {
		if err := provider.CheckName(name); err != nil {
			return fmt.Errorf("opa: %w", err)
		}
		if _, err := caddy.GetModule(opaModule); err != nil {
			return fmt.Errorf("opa %s: %w", name, errNoOPA)
		}
		if err := a.provisionEngine(ctx, name); err != nil {
			return fmt.Errorf("opa %s: %w", name, err)
		}
	}
	return nil
}

func (a *App) provisionEngine(ctx caddy.Context, name string) error {
	module, err := ctx.LoadModuleByID(opaModule, a.OPA[name])
	if err != nil {
		return err
	}
	engine, ok := module.(PolicyEngine)
	if !ok {
		return fmt.Errorf("%T is not a policy engine", module)
	}
	if err := engine.Named(ctx, name); err != nil {
		return err
	}
	a.Background(func(ctx context.Context) {
		changed := engine.Changed() // before the engine starts, so that nothing is missed
		engine.Start()
		a.followPolicies(ctx, engine, changed)
	})
	if a.engines == nil {
		a.engines = make(map[string]PolicyEngine)
	}
	a.engines[name] = engine
	return nil
}

// followPolicies has streams judged again whenever other policies decide.
func (a *App) followPolicies(ctx context.Context, engine PolicyEngine, changed <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			changed = engine.Changed()
			a.RulesChanged()
		}
	}
}

// PolicyEngine is what the app knows about an engine. Who asks it knows more.
type PolicyEngine interface {
	// Named tells the engine its name, while it is provisioned.
	Named(ctx caddy.Context, name string) error

	// Start is called when the configuration runs, also for an engine that an earlier
	// one has started.
	Start()

	// Changed returns a channel that is closed when other policies decide than now.
	Changed() <-chan struct{}

	// Status says which policies decide, and how old they are.
	Status() status.Engine
}

// Engine returns the policy engine of this name, the one called `default` for "".
func (a *App) Engine(name string) (PolicyEngine, error) {
	if name == "" {
		name = DefaultEngine
	}
	if engine, ok := a.engines[name]; ok {
		return engine, nil
	}
	return nil, unknownEngine(name, slices.Sorted(maps.Keys(a.engines)))
}

func unknownEngine(name string, known []string) error {
	if len(known) == 0 {
		return fmt.Errorf("unknown engine %q: write 'gluu { opa { policy <file>... } }' into the global options, or 'url <url>' for a server", name)
	}
	return fmt.Errorf("unknown engine %q: name one of %s, or write 'opa %s { ... }' into the global option gluu", name, strings.Join(known, ", "), name)
}

// parseOPA reads the block of an engine, which its module understands.
func (a *App) parseOPA(d *caddyfile.Dispenser) error {
	block := d.NewFromNextSegment()
	block.Next() // opa
	name := DefaultEngine
	if block.NextArg() {
		name = block.Val()
	}
	if block.NextArg() {
		return block.Errf("an engine has one name, got also %q: remove it", block.Val())
	}
	if err := provider.CheckName(name); err != nil {
		return block.WrapErr(err)
	}
	if _, twice := a.OPA[name]; twice {
		return block.Errf("there are two engines named %q: give this one another name, 'opa <name> {'", name)
	}
	info, err := caddy.GetModule(opaModule)
	if err != nil {
		return block.WrapErr(errNoOPA)
	}
	engine, ok := info.New().(caddyfile.Unmarshaler)
	if !ok {
		return block.Errf("module %s cannot be written in a Caddyfile", opaModule)
	}
	if err := engine.UnmarshalCaddyfile(block); err != nil {
		return err
	}
	if a.OPA == nil {
		a.OPA = make(map[string]json.RawMessage)
	}
	a.OPA[name] = caddyconfig.JSON(engine, nil)
	return nil
}
