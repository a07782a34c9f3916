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
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/cache"
)

// Snapshot is what an engine decides by at one moment: compiled policies and the
// data beside them. It never changes, and any number of requests use it at once.
type Snapshot struct {
	compiler *ast.Compiler
	store    storage.Store
	txn      storage.Transaction // for all readers; nil if the store changes
	data     ast.Object          // what the store holds; nil if the store changes
	uses     *Uses
	uncached []string // functions that are not deterministic
	revision string
	since    time.Time // since when it decides
	engine   *Engine   // if the store is one that OPA's plugins change

	values  cache.InterQueryValueCache // compiled regular expressions and such
	answers cache.InterQueryCache      // of http.send

	mu      sync.RWMutex
	queries map[string]*query
}

// query is a decision that was compiled.
type query struct {
	body     ast.Body
	compiler ast.QueryCompiler
	known    bool
}

// maxValues is how many values of each kind are kept from one evaluation to the
// next. OPA's own default is 100 regular expressions; a policy with more of them
// compiles all anew for each request.
const maxValues = 20_000

// maxAnswers bounds what http.send keeps, in bytes.
const maxAnswers = 16 << 20

func newCaches() (cache.InterQueryValueCache, cache.InterQueryCache) {
	values, answers, threshold, period := maxValues, int64(maxAnswers), int64(100), int64(0)
	config := &cache.Config{
		InterQueryBuiltinCache:      cache.InterQueryBuiltinCacheConfig{MaxSizeBytes: &answers, ForcedEvictionThresholdPercentage: &threshold, StaleEntryEvictionPeriodSeconds: &period},
		InterQueryBuiltinValueCache: cache.InterQueryBuiltinValueCacheConfig{MaxNumEntries: &values},
	}
	return cache.NewInterQueryValueCache(context.Background(), config), cache.NewInterQueryCache(config)
}

// compile makes a snapshot of sources.
func compile(caps *ast.Capabilities, sources ...*source) (*Snapshot, error) {
	modules, data := map[string]*ast.Module{}, map[string]any{}
	var revisions []string
	for _, s := range sources {
		maps.Copy(modules, s.modules)
		if err := join(data, s.data, ""); err != nil {
			return nil, err
		}
		revisions = append(revisions, s.revision)
	}
	object, err := ast.InterfaceToValue(data)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	store := inmem.NewFromASTObject(object.(ast.Object))
	ctx := context.Background()
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	compiler := ast.NewCompiler().WithCapabilities(caps).WithDefaultRegoVersion(ast.RegoV1).
		WithPathConflictsCheck(storage.NonEmpty(ctx, store, txn))
	if compiler.Compile(modules); compiler.Failed() {
		return nil, describe(compiler.Errors)
	}
	s := newSnapshot(compiler, store, txn, strings.Join(slices.DeleteFunc(revisions, func(r string) bool { return r == "" }), "+"))
	s.data = object.(ast.Object)
	return s, nil
}

func newSnapshot(compiler *ast.Compiler, store storage.Store, txn storage.Transaction, revision string) *Snapshot {
	s := &Snapshot{
		compiler: compiler, store: store, txn: txn, revision: revision,
		uses: usesOf(compiler.Modules), uncached: nondeterministic(compiler.Modules),
		queries: map[string]*query{},
	}
	s.values, s.answers = newCaches()
	return s
}

// Uses says which parts of the input the policies refer to.
func (s *Snapshot) Uses() *Uses { return s.uses }

// Revision names the content of the policies and the data.
func (s *Snapshot) Revision() string {
	if s.engine != nil {
		return s.engine.manager.revision()
	}
	return s.revision
}

// Nondeterministic returns the functions in the policies that may answer the same
// input differently the next time.
func (s *Snapshot) Nondeterministic() []string { return s.uncached }

// Knows reports whether a decision names a rule, a package or data.
func (s *Snapshot) Knows(decision string) bool {
	q, err := s.query(decision)
	return err == nil && q.known
}

// Outcome is what an evaluation came to.
type Outcome struct {
	// Value is the value of the decision, nil if it is undefined.
	Value ast.Value

	// Revision names what decided.
	Revision string
}

// ErrReplaced says that other policies have taken the place of those of the snapshot:
// the decision must be made anew.
var ErrReplaced = errors.New("the policies were replaced")

// ErrTimeout says that an evaluation took longer than it may.
var ErrTimeout = errors.New("the evaluation took too long")

// Decide evaluates a decision, such as "httpapi/authz" or "httpapi/authz/allow".
func (s *Snapshot) Decide(ctx context.Context, decision string, input ast.Value, limit time.Duration, options ...Option) (Outcome, error) {
	q, err := s.query(decision)
	if err != nil {
		return Outcome{}, err
	}
	txn := s.txn
	if txn == nil {
		if txn, err = s.store.NewTransaction(ctx); err != nil {
			return Outcome{}, err
		}
		defer s.store.Abort(ctx, txn)
		if s.engine.current.Load() != s {
			return Outcome{}, ErrReplaced
		}
	}
	ends := startDeadline(limit)
	defer ends.stop()
	evaluation := topdown.NewQuery(q.body).
		WithQueryCompiler(q.compiler).WithCompiler(s.compiler).WithStore(s.store).WithTransaction(txn).
		WithCancel(ends).WithInput(ast.NewTerm(input)).
		WithInterQueryBuiltinCache(s.answers).WithInterQueryBuiltinValueCache(s.values).
		WithMetrics(metrics.NoOp())
	if s.data != nil {
		evaluation.WithBaseCache((*documents)(s))
	}
	for _, option := range options {
		option(evaluation)
	}
	outcome := Outcome{Revision: s.Revision()}
	err = evaluation.Iter(ctx, func(result topdown.QueryResult) error {
		if term, ok := result[resultVar]; ok {
			outcome.Value = term.Value
		}
		return nil
	})
	if topdown.IsCancel(err) {
		return Outcome{Revision: outcome.Revision}, ErrTimeout
	}
	return outcome, err
}

// documents reads the data of a snapshot without a way through its store, which
// would allocate a path and a copy in a cache for each reference.
type documents Snapshot

var _ topdown.BaseCache = (*documents)(nil)

// Get returns the document that ref names, or nil to have OPA ask the store. The
// root is for the store, which hides a part of it, and so is what is not found: a
// store also finds "0" in an array.
func (d *documents) Get(ref ast.Ref) ast.Value {
	if len(ref) < 2 {
		return nil
	}
	value, err := d.data.Find(ref[1:])
	if err != nil {
		return nil
	}
	return value
}

// Put ignores a document: those of the store are at hand.
func (d *documents) Put(ast.Ref, ast.Value) {}

// Option changes one evaluation.
type Option func(*topdown.Query)

// At has policies take a moment for now.
func At(moment time.Time) Option { return func(q *topdown.Query) { q.WithTime(moment) } }

// resultVar is the variable of the query that becomes the decision. No policy can
// have one of that name.
const resultVar = ast.Var("$decision")

// query compiles a decision once.
func (s *Snapshot) query(decision string) (*query, error) {
	s.mu.RLock()
	known, ok := s.queries[decision]
	s.mu.RUnlock()
	if ok {
		return known, nil
	}
	ref, err := ParseDecision(decision)
	if err != nil {
		return nil, err
	}
	q := &query{compiler: s.compiler.QueryCompiler()}
	q.body, err = q.compiler.Compile(ast.NewBody(ast.Equality.Expr(ast.NewTerm(resultVar), ast.NewTerm(ref))))
	if err != nil {
		return nil, fmt.Errorf("decision %q: %w", decision, describe(err))
	}
	q.known = len(s.compiler.GetRules(ref)) > 0 || s.hasData(ref)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries[decision] = q // decisions come from the configuration, so there are few
	return q, nil
}

func (s *Snapshot) hasData(ref ast.Ref) bool {
	path, err := storage.NewPathForRef(ref)
	if err != nil || s.txn == nil {
		return false
	}
	_, err = s.store.Read(context.Background(), s.txn, path)
	return err == nil
}

// ParseDecision reads the name of a decision: that of a package or a rule, with
// slashes.
func ParseDecision(decision string) (ast.Ref, error) {
	ref := ast.Ref{ast.DefaultRootDocument}
	for element := range strings.SplitSeq(decision, "/") {
		if element == "" || element == "data" && len(ref) == 1 {
			return nil, fmt.Errorf("decision %q is not the name of a package or a rule: write it with slashes and without data, such as 'httpapi/authz' or 'httpapi/authz/allow'", decision)
		}
		ref = append(ref, ast.StringTerm(element))
	}
	return ref, nil
}
