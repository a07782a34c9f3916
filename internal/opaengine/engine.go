// SPDX-License-Identifier: Apache-2.0

package opaengine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/retry"
)

// Settings are what an engine is made of.
type Settings struct {
	// Files are the names of files of policies and data, or patterns of names.
	Files []string

	// Watch reads the files again when they change.
	Watch bool

	// Bundles are downloaded and kept up to date.
	Bundles []Bundle

	// OPA is OPA's own configuration, which brings its bundles itself; nil for none.
	OPA []byte

	// Capabilities are Strict or All, and Hosts those that policies can reach.
	Capabilities string
	Hosts        []string

	// MaxStale is how long policies are used although no server says that they are
	// still the ones; 0 for ever.
	MaxStale time.Duration

	// Storage keeps bundles across restarts; nil for nothing.
	Storage Storage

	Logger *zap.Logger
	Clock  retry.Clock      // nil: the machine's
	Now    func() time.Time // nil: the machine's
}

// Storage keeps what was downloaded. It is a part of Caddy's storage.
type Storage interface {
	Store(ctx context.Context, key string, value []byte) error
	Load(ctx context.Context, key string) ([]byte, error)
}

// Engine evaluates policies that may be replaced at any time.
type Engine struct {
	settings Settings
	caps     *ast.Capabilities
	logger   *zap.Logger

	current  atomic.Pointer[Snapshot]
	refused  atomic.Pointer[error] // why the policies of OPA's own configuration cannot be used
	problems problems
	changed  broadcast // other policies are in use

	mu      sync.Mutex // activations
	files   *source
	bundles map[string]*source
	checked map[string]*atomic.Int64 // when each bundle was last known to be the newest, in ns

	start   sync.Once
	cancel  context.CancelFunc
	running sync.WaitGroup
	manager *manager
}

var (
	// ErrNotReady says that an engine has no policies yet.
	ErrNotReady = errors.New("the policies have not been loaded yet")

	// ErrStale says that policies are older than they may be.
	ErrStale = errors.New("the policies are older than max_stale allows: their server does not answer")
)

// New returns an engine. Files are read and compiled at once, and an error names the
// file and the line. Everything else begins with Start.
func New(settings Settings) (*Engine, error) {
	if settings.Now == nil {
		settings.Now = time.Now
	}
	if settings.Logger == nil {
		settings.Logger = zap.NewNop()
	}
	e := &Engine{
		settings: settings, logger: settings.Logger,
		caps:    capabilitiesOf(settings.Capabilities, settings.Hosts),
		bundles: map[string]*source{}, checked: map[string]*atomic.Int64{},
	}
	for i := range settings.Bundles {
		if err := settings.Bundles[i].prepare(); err != nil {
			return nil, fmt.Errorf("bundle %s: %w", settings.Bundles[i].Name, err)
		}
		e.checked[settings.Bundles[i].Name] = new(atomic.Int64)
	}
	if settings.OPA != nil {
		return e, e.prepareManager()
	}
	if len(settings.Files) == 0 {
		return e, nil
	}
	files, err := readFiles(settings.Files)
	if err != nil {
		return nil, err
	}
	return e, e.useFiles(files)
}

// FilesRevision names the content of the files that patterns match.
func FilesRevision(patterns []string) (string, error) {
	files, err := readFiles(patterns)
	if err != nil {
		return "", err
	}
	return revisionOf(files), nil
}

// useFiles compiles files together with the bundles. With bundles that are still
// missing the files are compiled alone, to find their errors, and not used.
func (e *Engine) useFiles(files []file) error {
	parsed, err := parseFiles(files)
	if err != nil {
		return err
	}
	for _, name := range parsed.legacy {
		e.logger.Warn("a policy is in the syntax of OPA 0.x: it is used as it is; rewrite it with 'opa fmt --write --v0-v1 <file>'", zap.String("file", name))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.activate(func() { e.files = parsed }, parsed, e.bundles)
}

// useBundle compiles a new bundle together with everything else.
func (e *Engine) useBundle(s *source) error {
	for _, name := range s.legacy {
		e.logger.Warn("a policy of a bundle is in the syntax of OPA 0.x: it is used as it is; rewrite it with 'opa fmt --write --v0-v1 <file>'", zap.String("bundle", s.name), zap.String("file", name))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	bundles := maps.Clone(e.bundles)
	bundles[s.name] = s
	return e.activate(func() { e.bundles = bundles }, e.files, bundles)
}

// activate compiles sources aside and has the engine decide by them if they can be
// used, and if none is missing. A decision under way keeps what it has.
func (e *Engine) activate(keep func(), files *source, bundles map[string]*source) error {
	var sources []*source
	if files != nil {
		sources = append(sources, files)
	}
	for _, name := range slices.Sorted(maps.Keys(bundles)) {
		sources = append(sources, bundles[name])
	}
	if err := checkRoots(sources); err != nil {
		return err
	}
	snapshot, err := compile(e.caps, sources...)
	if err != nil {
		return err
	}
	keep()
	if len(bundles) < len(e.settings.Bundles) {
		return nil
	}
	e.use(snapshot)
	e.logger.Info("policies are in use", zap.String("revision", snapshot.Revision()), zap.Int("modules", len(snapshot.compiler.Modules)))
	return nil
}

// use has the engine decide by a snapshot from now on.
func (e *Engine) use(s *Snapshot) {
	s.since = e.settings.Now()
	e.current.Store(s)
	e.changed.tell()
}

// Changed returns a channel that is closed when the engine decides by other policies
// than now. Who wants to know of the next ones asks for another channel.
func (e *Engine) Changed() <-chan struct{} { return e.changed.next() }

// Snapshot returns what decides now.
func (e *Engine) Snapshot() (*Snapshot, error) {
	if err := e.refused.Load(); err != nil {
		return nil, *err
	}
	snapshot := e.current.Load()
	if snapshot == nil {
		return nil, ErrNotReady
	}
	if e.settings.MaxStale > 0 && e.Age() > e.settings.MaxStale {
		return nil, ErrStale
	}
	return snapshot, nil
}

// Age is how long ago the server of a bundle last said that it is the newest one, the
// longest of all bundles. It is 0 for files.
func (e *Engine) Age() time.Duration {
	var age time.Duration
	if e.manager != nil {
		return e.manager.age(e.settings.Now())
	}
	for _, checked := range e.checked {
		if at := checked.Load(); at != 0 {
			age = max(age, e.settings.Now().Sub(time.Unix(0, at)))
		}
	}
	return age
}

// Ready reports whether the engine has policies.
func (e *Engine) Ready() bool { return e.current.Load() != nil }

// Start begins to watch files and to download bundles, once.
func (e *Engine) Start() {
	e.start.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		e.mu.Lock()
		e.cancel = cancel
		e.mu.Unlock()
		if e.settings.Watch && len(e.settings.Files) > 0 {
			e.running.Go(func() { e.watch(ctx) })
		}
		for i := range e.settings.Bundles {
			e.running.Go(func() { e.follow(ctx, &e.settings.Bundles[i]) })
		}
		if e.manager != nil {
			e.manager.start(ctx)
		}
	})
}

// Destruct ends what Start began.
func (e *Engine) Destruct() error {
	e.start.Do(func() {}) // nothing starts any more
	e.mu.Lock()
	cancel := e.cancel
	e.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	if e.manager != nil {
		e.manager.stop()
	}
	e.running.Wait()
	return nil
}
