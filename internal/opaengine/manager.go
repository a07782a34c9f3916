// SPDX-License-Identifier: Apache-2.0

package opaengine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/plugins/bundle"
	"github.com/open-policy-agent/opa/v1/plugins/discovery"
	"github.com/open-policy-agent/opa/v1/plugins/logs"
	"github.com/open-policy-agent/opa/v1/server"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/util"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/retry"
)

// manager runs OPA's own plugins: bundles, discovery, decision logs and status, as
// OPA's configuration describes them.
type manager struct {
	*plugins.Manager
	engine *Engine

	mu        sync.Mutex
	bundles   map[string]time.Time // when each server last answered
	revisions map[string]string    // of the bundles
	seen      map[string]bool      // bundles that the plugin has told about
}

// stopTimeout is how long the plugins may take to send what they still have.
const stopTimeout = 5 * time.Second

// prepareManager reads OPA's configuration. Its policies come later.
func (e *Engine) prepareManager() error {
	if err := checkOPAConfig(e.settings.OPA); err != nil {
		return err
	}
	store := inmem.NewWithOpts(inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true))
	own, err := plugins.New(e.settings.OPA, "gluu-gateway", store,
		plugins.Logger(opaLogger{e.logger}), plugins.ConsoleLogger(opaLogger{e.logger.Named("decisions")}),
		plugins.WithParserOptions(ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: e.caps}))
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	m := &manager{Manager: own, engine: e, bundles: map[string]time.Time{}, revisions: map[string]string{}, seen: map[string]bool{}}
	var boot map[string]any
	if err := util.Unmarshal(e.settings.OPA, &boot); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	found, err := discovery.New(own, discovery.BootConfig(boot))
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	found.RegisterListener("gluu", func(bundle.Status) { m.listen() })
	own.Register(discovery.Name, found)
	own.RegisterCompilerTrigger(func(storage.Transaction) { e.useCompiler(own.GetCompiler(), store) })
	e.manager = m
	return nil
}

// useCompiler has the engine decide by what OPA's plugins have activated. It is called
// while the store commits, so that no evaluation sees new data with old policies.
func (e *Engine) useCompiler(compiler *ast.Compiler, store storage.Store) {
	if compiler == nil {
		return
	}
	if err := checkCalls(compiler.Modules, e.caps); err != nil {
		// The data has been replaced already, so the policies before do not fit.
		e.refused.Store(&err)
		e.problems.note("", e.settings.Now(), err)
		e.logger.Error("policies cannot be used: requests are refused", zap.Error(err))
		return
	}
	snapshot := newSnapshot(compiler, store, nil, "")
	snapshot.engine = e
	e.refused.Store(nil)
	e.problems.note("", time.Time{}, nil)
	e.use(snapshot)
	e.logger.Info("policies are in use", zap.Int("modules", len(compiler.Modules)))
}

// start starts the plugins. It goes on trying where one needs a server to start.
func (m *manager) start(ctx context.Context) {
	m.engine.running.Go(func() {
		backoff := retry.Backoff{Min: minRetry, Max: maxRetry, Clock: m.engine.settings.Clock}
		for {
			err := m.Start(ctx)
			if err == nil {
				break
			}
			m.engine.problems.note("", m.engine.settings.Now(), err)
			m.engine.logger.Error("OPA's configuration cannot be started", zap.Error(err))
			if !backoff.Wait(ctx) {
				return
			}
		}
		m.listen()
	})
}

func (m *manager) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	m.Stop(ctx)
}

// listen notes when the servers of the bundles answer. Discovery may have replaced
// the plugin, so it is asked to tell again.
func (m *manager) listen() {
	p := bundle.Lookup(m.Manager)
	if p == nil {
		return
	}
	p.RegisterBulkListener("gluu", func(all map[string]*bundle.Status) {
		m.mu.Lock()
		defer m.mu.Unlock()
		for name, status := range all {
			m.noteProblem(name, status)
			if status != nil && status.ActiveRevision != "" {
				m.revisions[name] = status.ActiveRevision
			}
			if status != nil && !status.LastSuccessfulDownload.IsZero() {
				m.bundles[name] = status.LastSuccessfulDownload
			}
			if status != nil && status.LastSuccessfulRequest.After(m.bundles[name]) {
				m.bundles[name] = status.LastSuccessfulRequest
			}
		}
	})
}

func (m *manager) age(now time.Time) (age time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, at := range m.bundles {
		age = max(age, now.Sub(at))
	}
	return age
}

// revision joins the revisions of the bundles.
func (m *manager) revision() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	revisions := make([]string, 0, len(m.revisions))
	for _, name := range slices.Sorted(maps.Keys(m.revisions)) {
		revisions = append(revisions, m.revisions[name])
	}
	return strings.Join(revisions, "+")
}

// LogsDecisions reports whether OPA's own configuration can have a decision log.
func (e *Engine) LogsDecisions() bool { return e.manager != nil }

// LogDecision hands a decision to OPA's own decision log. It reports whether there is
// one.
func (e *Engine) LogDecision(ctx context.Context, decision *server.Info) bool {
	if e.manager == nil {
		return false
	}
	p := logs.Lookup(e.manager.Manager)
	if p == nil {
		return false
	}
	if err := p.Log(ctx, decision); err != nil {
		e.logger.Error("a decision cannot be logged", zap.Error(err))
	}
	return true
}

// checkOPAConfig refuses bundles that anyone on the way can replace.
func checkOPAConfig(text []byte) error {
	var config struct {
		Services any `json:"services"`
		Bundles  map[string]struct {
			Service  string `json:"service"`
			Resource string `json:"resource"`
			Signing  any    `json:"signing"`
		} `json:"bundles"`
	}
	if err := util.Unmarshal(text, &config); err != nil {
		return fmt.Errorf("config: not an object of JSON or YAML: %w", err)
	}
	insecure := insecureServices(config.Services)
	for name, b := range config.Bundles {
		if b.Signing == nil && (insecure[b.Service] || strings.HasPrefix(b.Resource, "http://")) {
			return fmt.Errorf("config: the bundle %q comes over http and is not signed, so that anyone on the way can replace the policies: add 'signing: {keyid: <key>}' and the key, or use https", name)
		}
	}
	if len(config.Bundles) == 0 && !strings.Contains(string(text), "discovery") {
		return errors.New("config: it has neither bundles nor discovery, so no policies would ever come")
	}
	return nil
}

// insecureServices returns the services that are asked over http, by name. The
// configuration has them as an object or as a list.
func insecureServices(services any) map[string]bool {
	insecure := map[string]bool{}
	note := func(name string, service any) {
		if object, ok := service.(map[string]any); ok {
			address, _ := object["url"].(string)
			if own, ok := object["name"].(string); ok && name == "" {
				name = own
			}
			insecure[name] = strings.HasPrefix(strings.ToLower(address), "http://")
		}
	}
	switch services := services.(type) {
	case map[string]any:
		for name, service := range services {
			note(name, service)
		}
	case []any:
		for _, service := range services {
			note("", service)
		}
	}
	return insecure
}
