// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/provider"
)

// References are the names of things in the app that a handler's directive uses.
type References struct {
	Providers   []string // "" is not a reference
	UsesDefault bool     // the provider "default", if the option has providers
	Consumer    string   // a username or id, "" for none
	Engine      *string  // a policy engine, nil for none
}

// Check refuses a name that the Caddyfile's global option `gluu` does not define, so
// that `caddy adapt` already refuses it, with the directive's line. Without that
// option it says nothing: what was adapted may be a part of the configuration.
func (r References) Check(h httpcaddyfile.Helper) error {
	option, ok := h.Option("gluu").(httpcaddyfile.App)
	if !ok {
		return nil
	}
	var app struct {
		Providers map[string]provider.Config `json:"providers"`
		Consumers []consumer.Consumer        `json:"consumers"`
		OPA       map[string]json.RawMessage `json:"opa"`
	}
	if err := json.Unmarshal(option.Value, &app); err != nil {
		return h.WrapErr(err)
	}
	h.Reset()
	h.Next() // the directive
	if r.UsesDefault && len(app.Providers) > 0 {
		r.Providers = append(r.Providers, DefaultProvider)
	}
	for _, name := range r.Providers {
		if _, ok := app.Providers[name]; name != "" && !ok {
			return h.WrapErr(unknownProvider(name, slices.Sorted(maps.Keys(app.Providers))))
		}
	}
	if r.Engine != nil {
		if name := cmp.Or(*r.Engine, DefaultEngine); app.OPA[name] == nil {
			return h.WrapErr(unknownEngine(name, slices.Sorted(maps.Keys(app.OPA))))
		}
	}
	if r.Consumer == "" || strings.Contains(r.Consumer, "{") {
		return nil
	}
	directory, err := consumer.NewDirectory(app.Consumers, nil)
	if err != nil {
		return h.WrapErr(err)
	}
	if directory.Find(r.Consumer) == nil {
		return h.Errf("unknown consumer %q: write 'consumer %s' into the global option gluu, or name another one by its username or id", r.Consumer, r.Consumer)
	}
	return nil
}

func unknownProvider(name string, known []string) error {
	if len(known) == 0 {
		return fmt.Errorf("unknown provider %q: write 'gluu { provider { issuer <url> ... } }' into the global options", name)
	}
	return fmt.Errorf("unknown provider %q: name one of %s, or write 'provider %s { ... }' into the global option gluu", name, strings.Join(known, ", "), name)
}

// NoteConsumer says that a handler of the configuration names a consumer.
func (a *App) NoteConsumer(c *consumer.Consumer) { a.noted.Store(c.ID, true) }

// warnOfUnusedConsumers names the consumers that no caller can ever be.
func (a *App) warnOfUnusedConsumers() {
	for i := range a.Consumers {
		c := a.directory.Find(a.Consumers[i].Username)
		if a.Consumers[i].CustomID != "" || c == nil {
			continue
		}
		if _, noted := a.noted.Load(c.ID); !noted {
			a.logger.Warn("a consumer is not used: it has no custom_id and no handler names it; write 'custom_id <client id>' or remove it", zap.String("consumer", c.Name()))
		}
	}
}

// warnOfTinyDurations names the durations that cannot be meant.
func warnOfTinyDurations(logger *zap.Logger, config any) {
	for _, name := range directive.TinyDurations(config) {
		logger.Warn("a duration is shorter than a millisecond: a number in JSON is one of nanoseconds; write a text with a unit, such as \"5s\"", zap.String("option", name))
	}
}
