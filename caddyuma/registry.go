// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/storagelock"
	"github.com/caddy-gluu/gateway/introspect"
)

// registry remembers which resources this gateway has at an authorization
// server. It is kept in Caddy's storage, so that a restart registers nothing
// and gateways that share the storage share the resources.
type registry struct {
	mu     sync.Mutex
	byName map[string]registered

	// configurations are those with handlers for this server, by their number.
	// The oldest is the one that runs. A newer one is being loaded, and may yet
	// be refused: until the older one is gone nothing is concluded from it.
	configurations map[uint64]*configuration
	retired        chan struct{} // closed when one of them is gone

	reconciling sync.Mutex // one handler at a time
}

// configuration is what the handlers of one configuration have in common.
type configuration struct {
	provider *introspect.Provider
	names    map[string][]string // of resources, with all scopes that are asked for under each
}

// registered is a resource as it was last seen or written.
type registered struct {
	ID     string   `json:"id"`
	Scopes []string `json:"scopes,omitempty"`
	Ours   bool     `json:"ours,omitempty"` // this gateway created it or looks after it
}

func (a *authority) known(name string) (registered, bool) {
	a.registry.mu.Lock()
	defer a.registry.mu.Unlock()
	r, ok := a.registry.byName[name]
	return r, ok
}

func (a *authority) learn(name string, r registered) {
	a.registry.mu.Lock()
	defer a.registry.mu.Unlock()
	if a.registry.byName == nil {
		a.registry.byName = make(map[string]registered)
	}
	a.registry.byName[name] = r
}

// unlearn forgets a resource.
func (a *authority) unlearn(name string) {
	a.registry.mu.Lock()
	defer a.registry.mu.Unlock()
	delete(a.registry.byName, name)
}

// announce says, while a configuration is loaded, which resources one of its
// handlers has.
func (a *authority) announce(r *resources, p *introspect.Provider) {
	a.registry.mu.Lock()
	defer a.registry.mu.Unlock()
	if a.registry.configurations == nil {
		a.registry.configurations = make(map[uint64]*configuration)
	}
	c := a.registry.configurations[r.generation]
	if c == nil {
		c = &configuration{p, make(map[string][]string)}
		a.registry.configurations[r.generation] = c
	}
	for _, each := range r.all {
		if each.name != "" {
			c.names[each.name] = append(c.names[each.name], each.scopes...)
		}
	}
	a.provider.Store(a.registry.running().provider)
}

// retire is called when a configuration is gone.
func (a *authority) retire(generation uint64) {
	a.registry.mu.Lock()
	defer a.registry.mu.Unlock()
	delete(a.registry.configurations, generation)
	if c := a.registry.running(); c != nil {
		a.provider.Store(c.provider)
	}
	if a.registry.retired != nil {
		close(a.registry.retired)
		a.registry.retired = nil
	}
}

// running returns the configuration that runs, nil if there is none.
func (r *registry) running() *configuration {
	if len(r.configurations) == 0 {
		return nil
	}
	return r.configurations[slices.Min(slices.Collect(maps.Keys(r.configurations)))]
}

// retirement returns a channel that is closed when a configuration is gone.
func (a *authority) retirement() <-chan struct{} {
	a.registry.mu.Lock()
	defer a.registry.mu.Unlock()
	if a.registry.retired == nil {
		a.registry.retired = make(chan struct{})
	}
	return a.registry.retired
}

// wanted returns the scopes that a resource has to have: those of all rules of
// its configuration that are about it.
func (a *authority) wanted(r *resources, each *resource) []string {
	a.registry.mu.Lock()
	defer a.registry.mu.Unlock()
	scopes := slices.Clone(each.scopes)
	if c := a.registry.configurations[r.generation]; c != nil {
		scopes = append(scopes, c.names[each.name]...)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// reconcile makes the resources of a handler known: from memory, from the
// storage, by their names at the server, or by registering them.
func (a *authority) reconcile(ctx context.Context, r *resources) error {
	if len(r.missing()) == 0 && r.mode != registrationPrune {
		a.reportGone(r)
		return nil
	}
	a.registry.reconciling.Lock()
	defer a.registry.reconciling.Unlock()

	key, err := a.storageKey()
	if err != nil {
		return err
	}
	// Across gateways too, or two of them would register the same resource.
	release, err := storagelock.Acquire(ctx, r.storage, key, r.logger)
	if err != nil {
		return err
	}
	defer release()
	stored, err := load(ctx, r, key)
	if err != nil {
		return err
	}
	for name, known := range stored {
		if _, ok := a.known(name); !ok && !a.isForgotten(r, name) {
			a.learn(name, known)
		}
	}
	before := maps.Clone(stored)
	err = a.register(ctx, r, stored)
	if err == nil {
		err = a.dropGone(ctx, r, stored)
	}
	if !maps.EqualFunc(before, stored, func(x, y registered) bool { return x.ID == y.ID && x.Ours == y.Ours && sameScopes(x.Scopes, y.Scopes) }) {
		err = errors.Join(err, store(context.WithoutCancel(ctx), r, key, stored))
	}
	return err
}

// isForgotten reports whether the server has said that a resource of the
// handler is not what it was. What the storage says about it is then out of
// date as well.
func (a *authority) isForgotten(r *resources, name string) bool {
	return slices.ContainsFunc(r.all, func(each *resource) bool { return each.name == name && each.forgotten.Load() })
}

// register makes known what is missing.
func (a *authority) register(ctx context.Context, r *resources, stored map[string]registered) error {
	missing := r.missing()
	if len(missing) == 0 {
		return nil
	}
	finder := &finder{authority: a}
	var problems []error
	for _, each := range missing {
		found, err := a.ensure(ctx, r, each, finder)
		if err != nil {
			problems = append(problems, fmt.Errorf("resource %q: %w", each.name, err))
			if ctx.Err() != nil || finder.down {
				break
			}
			continue
		}
		stored[each.name] = found
		a.learn(each.name, found)
		each.forgotten.Store(false)
		each.id.Store(&found.ID)
	}
	return errors.Join(problems...)
}

// ensure finds a resource by its name, else registers it, and sees to its
// scopes.
func (a *authority) ensure(ctx context.Context, r *resources, each *resource, finder *finder) (registered, error) {
	found, err := finder.find(ctx, each.name)
	if err != nil {
		return registered{}, err
	}
	scopes := a.wanted(r, each)
	switch {
	case found == nil && (each.given || !r.registers()):
		return registered{}, errors.New("the authorization server has none of this name: create it there, or let the gateway register it (registration on, and no resource_name)")
	case found == nil:
		id, err := a.create(ctx, each.name, scopes)
		if err != nil {
			return registered{}, err
		}
		r.logger.Info("resource registered", zap.String("resource", each.name), zap.String("id", id), zap.Strings("scopes", scopes))
		return registered{ID: id, Scopes: scopes, Ours: true}, nil
	case each.given || !r.registers() || sameScopes(found.scopes, scopes):
		return registered{ID: found.id, Scopes: found.scopes, Ours: !each.given && r.registers()}, nil
	}
	if err := a.update(ctx, found, scopes); err != nil {
		return registered{}, err
	}
	r.logger.Info("resource updated", zap.String("resource", each.name), zap.String("id", found.id), zap.Strings("scopes", scopes))
	return registered{ID: found.id, Scopes: scopes, Ours: true}, nil
}

// gone returns the names of resources that no rule has any more; none while
// one configuration takes the place of another.
func (a *authority) gone(stored map[string]registered) []string {
	a.registry.mu.Lock()
	defer a.registry.mu.Unlock()
	if len(a.registry.configurations) != 1 {
		return nil
	}
	current := a.registry.running()
	var gone []string
	for name, each := range stored {
		if _, has := current.names[name]; !has && each.Ours {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	return gone
}

// reportGone logs what was registered for rules that are gone.
func (a *authority) reportGone(r *resources) {
	if !r.registers() {
		return
	}
	a.registry.mu.Lock()
	known := maps.Clone(a.registry.byName)
	a.registry.mu.Unlock()
	if gone := a.gone(known); len(gone) > 0 {
		r.logger.Info("resources of rules that are gone are left at the authorization server; 'registration prune' deletes them", zap.Strings("resources", gone))
	}
}

// dropGone deletes what was registered for rules that are gone, if that is
// wanted.
func (a *authority) dropGone(ctx context.Context, r *resources, stored map[string]registered) error {
	if r.mode != registrationPrune {
		a.reportGone(r)
		return nil
	}
	var problems []error
	for _, name := range a.gone(stored) {
		if err := a.remove(ctx, stored[name].ID); err != nil {
			problems = append(problems, fmt.Errorf("delete resource %q: %w", name, err))
			continue
		}
		r.logger.Info("resource deleted", zap.String("resource", name), zap.String("id", stored[name].ID))
		delete(stored, name)
		a.unlearn(name)
	}
	return errors.Join(problems...)
}

// storageKey names the registry of this client at this server.
func (a *authority) storageKey() (string, error) {
	p := a.provider.Load()
	client := p.ClientID()
	if client == "" {
		return "", errors.New("the gateway is not registered as a client yet")
	}
	sum := sha256.Sum256([]byte(p.Issuer() + "\x00" + client))
	return "gluu/uma/" + hex.EncodeToString(sum[:16]) + ".json", nil
}

func load(ctx context.Context, r *resources, key string) (map[string]registered, error) {
	stored := make(map[string]registered)
	text, err := r.storage.Load(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return stored, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", key, err)
	}
	if err := json.Unmarshal(text, &stored); err != nil {
		// Everything in it can be found again by name.
		r.logger.Error("stored resources cannot be read and are looked up anew", zap.String("key", key), zap.Error(err))
		return make(map[string]registered), nil
	}
	return stored, nil
}

func store(ctx context.Context, r *resources, key string, stored map[string]registered) error {
	text, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	if err := r.storage.Store(ctx, key, text); err != nil {
		return fmt.Errorf("store %s: %w", key, err)
	}
	return nil
}
