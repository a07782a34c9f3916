// SPDX-License-Identifier: Apache-2.0

package opaengine

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/plugins/bundle"

	"github.com/caddy-gluu/gateway/internal/status"
)

// Status says which policies decide, how old they are, and what keeps newer ones from
// being used.
func (e *Engine) Status() status.Engine {
	s := status.Engine{
		Files: e.settings.Files, Watched: e.settings.Watch, Bundles: e.bundleStatuses(),
		Age: e.Age().Seconds(), MaxStale: e.settings.MaxStale.Seconds(), Problem: e.problems.of(""),
	}
	snapshot := e.current.Load()
	if snapshot == nil {
		return s
	}
	s.Ready = e.refused.Load() == nil
	s.Stale = e.settings.MaxStale > 0 && e.Age() > e.settings.MaxStale
	s.Revision, s.Since, s.Modules = snapshot.Revision(), snapshot.since, len(snapshot.compiler.Modules)
	return s
}

func (e *Engine) bundleStatuses() (list []status.Bundle) {
	if e.manager != nil {
		return e.manager.bundleStatuses()
	}
	e.mu.Lock()
	bundles := maps.Clone(e.bundles)
	e.mu.Unlock()
	for i := range e.settings.Bundles {
		b := &e.settings.Bundles[i]
		s := status.Bundle{Name: b.Name, Server: serverOf(b.URL), Problem: e.problems.of(b.Name)}
		if found := bundles[b.Name]; found != nil {
			s.Revision = found.revision
		}
		if at := e.checked[b.Name].Load(); at != 0 {
			s.Checked = time.Unix(0, at)
		}
		list = append(list, s)
	}
	return list
}

func (m *manager) bundleStatuses() (list []status.Bundle) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(m.seen)) {
		list = append(list, status.Bundle{
			Name: name, Revision: m.revisions[name], Checked: m.bundles[name], Problem: m.engine.problems.of(name),
		})
	}
	return list
}

// noteProblem notes what OPA's plugin says about a bundle. The lock is held.
func (m *manager) noteProblem(name string, s *bundle.Status) {
	m.seen[name] = true
	var err error
	if s != nil && s.Code != "" {
		err = &bundleError{s.Message}
	}
	m.engine.problems.note(name, m.engine.settings.Now(), err)
}

// bundleError is what OPA's plugin says.
type bundleError struct{ message string }

func (e *bundleError) Error() string { return e.message }

// serverOf returns an address without its path and query, which may be secret.
func serverOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// problems are what went wrong last, by the name of a bundle; "" is everything else.
type problems struct {
	mu   sync.Mutex
	last map[string]status.Problem
}

// note remembers an error until the next attempt has none. The time is that of the
// first of several that are the same.
func (p *problems) note(name string, now time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		delete(p.last, name)
		return
	}
	text := withoutPaths(err.Error())
	if p.last[name].Error == text {
		return
	}
	if p.last == nil {
		p.last = map[string]status.Problem{}
	}
	p.last[name] = status.Problem{Time: now, Error: text}
}

var addresses = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"']+`)

// withoutPaths shortens the addresses in a text to their servers: errors of clients
// quote addresses whole.
func withoutPaths(text string) string {
	return addresses.ReplaceAllStringFunc(text, func(address string) string {
		rest := strings.TrimRight(address, ":,;.)")
		return serverOf(rest) + address[len(rest):]
	})
}

func (p *problems) of(name string) *status.Problem {
	p.mu.Lock()
	defer p.mu.Unlock()
	if found, ok := p.last[name]; ok {
		return &found
	}
	return nil
}
