// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/internal/token"
	"github.com/caddy-gluu/gateway/introspect"
)

// HeaderWriter makes the headers that tell an upstream who is calling. What they
// say depends on the token, the consumer and the handler, not on the request:
// a handler makes them once and keeps them with the token.
type HeaderWriter struct {
	standard       bool
	expiration     string            // the name of the header with the token's end
	custom         *headers.Set      // what the configuration adds
	customNames    map[string]bool   // folded names that custom sets, keys of objects aside
	canonicalNames map[string]string // as net/http keeps headers
	phantom        bool
	algorithm      string
	signer         *headers.Signer
	metrics        *Metrics
	logger         *zap.Logger
	now            func() time.Time

	shapes atomic.Pointer[[][]string] // lists of names that header sets share

	reported sync.Map // standard headers that could not be sent, for one log line each
}

// HeaderOptions is what a handler's configuration says about headers.
type HeaderOptions struct {
	Standard     bool   // whether the standard set is sent
	Expiration   string // the name of the header with the end of the token
	Custom       []headers.HeaderConfig
	Vars         []string // what the expressions of Custom may refer to
	PhantomToken bool     // whether an opaque token is replaced by a JWT
	SigningAlg   string   // of phantom tokens and headers with the format jwt, "" for the default
}

// NewHeaderWriter compiles the headers of a handler, and reserves their names:
// no site lets a client send them.
func NewHeaderWriter(app *introspect.App, o HeaderOptions, metrics *Metrics, logger *zap.Logger) (*HeaderWriter, error) {
	set, err := headers.CompileSet(o.Custom, o.Vars...)
	if err != nil {
		return nil, err
	}
	app.ReserveHeaders(set.Names()...)
	u := &HeaderWriter{
		standard: o.Standard, expiration: o.Expiration,
		custom: set, customNames: customNames(set), canonicalNames: canonicalNames(set),
		phantom: o.PhantomToken, signer: app.Signer(), metrics: metrics, logger: logger,
		now: time.Now,
	}
	if !u.phantom && !set.NeedsSigning() {
		return u, nil
	}
	if u.algorithm, err = u.signer.Require(o.SigningAlg); err != nil {
		return nil, fmt.Errorf("phantom_token_alg: %w", err)
	}
	if u.algorithm == headers.AlgorithmNone {
		logger.Warn("phantom tokens are not signed: an upstream that accepts them trusts anyone who can reach it")
	}
	return u, nil
}

// signs reports whether a signature may be part of a header set.
func (u *HeaderWriter) signs() bool { return u.phantom || u.custom.NeedsSigning() }

// HeaderSet is what the upstream is told about one caller.
type HeaderSet struct {
	consumer      *consumer.Consumer
	names         []string // shared with other tokens
	values        []string
	renewAt       int64 // when to sign again, in nanoseconds since 1970; 0: never
	authenticated Count
}

// Size is how many bytes of memory the headers take ([token.Sized]).
func (r *HeaderSet) Size() int {
	size := headerSetSize
	for i, value := range r.values {
		size += len(r.names[i]) + len(value) + headerSize
	}
	return size
}

const (
	headerSetSize = 128 // bytes, names and values aside
	headerSize    = 32  // of two strings, texts aside
)

// Authenticated counts a request from the caller.
func (r *HeaderSet) Authenticated() { r.authenticated.Inc() }

// Apply sets the headers. The values of one request are a single block of
// memory, and never shared with another request: Caddy's header operations
// edit values in place.
func (r *HeaderSet) Apply(h http.Header) {
	values := slices.Clone(r.values)
	for i, name := range r.names {
		h[name] = values[i : i+1 : i+1]
	}
}

// IsCurrent reports whether a header set, or nil, is good for a consumer at this
// time. Only a set with a signature needs the clock.
func (u *HeaderWriter) IsCurrent(set *HeaderSet, c *consumer.Consumer) bool {
	return set != nil && set.consumer == c && (set.renewAt == 0 || u.now().UnixNano() < set.renewAt)
}

// standardNames are the folded names of the standard set. Keys of an object
// never form one of them, whether or not they are set: a claim named
// consumer-id does not identify a consumer.
var standardNames = func() map[string]bool {
	names := make(map[string]bool)
	for _, name := range headers.StandardNames() {
		names[headers.Fold(name)] = true
	}
	return names
}()

func customNames(set *headers.Set) map[string]bool {
	names := make(map[string]bool)
	for _, name := range set.Names() {
		if !strings.Contains(name, headers.Wildcard) {
			names[headers.Fold(name)] = true
		}
	}
	return names
}

// canonicalName returns a name in the form that net/http keeps headers under. A
// header set is kept for each token, so that all share one spelling of the
// names that the configuration knows.
func (u *HeaderWriter) canonicalName(name string) string {
	if canonical, ok := u.canonicalNames[name]; ok {
		return canonical
	}
	return http.CanonicalHeaderKey(name)
}

func canonicalNames(set *headers.Set) map[string]string {
	canonical := make(map[string]string)
	for _, name := range slices.Concat(headers.StandardNames(), set.Names()) {
		canonical[name] = http.CanonicalHeaderKey(name)
	}
	return canonical
}

// render makes the headers for a verified token, or for the anonymous consumer
// if there is none.
func (u *HeaderWriter) render(provider string, token *token.Token, c *consumer.Consumer) (*HeaderSet, error) {
	if u.custom.Len() == 0 {
		return u.Render(provider, token, c, nil)
	}
	vars := map[string]any{"introspect_data": nil}
	if token != nil {
		claims, err := token.Claims()
		if err != nil {
			return nil, err
		}
		vars["introspect_data"] = claims
	}
	return u.Render(provider, token, c, vars)
}

// Render makes the headers for a caller. The token is nil for the anonymous
// consumer, the consumer for a caller that is not one, and vars are what the
// expressions of custom headers see in addition to the consumer. An error means
// that the upstream cannot be told what the configuration promises.
func (u *HeaderWriter) Render(provider string, token *token.Token, c *consumer.Consumer, vars map[string]any) (*HeaderSet, error) {
	b := &headerBuilder{writer: u, token: token}
	if n := u.usual(); n > 0 {
		b.names, b.values = make([]string, 0, n), make([]string, 0, n)
	}
	if u.standard {
		b.standard(c)
	}
	if err := b.custom(c, vars); err != nil {
		return nil, err
	}
	set := &HeaderSet{consumer: c}
	if token != nil {
		if u.phantom && !token.JWT {
			if err := b.phantom(); err != nil {
				return nil, err
			}
		}
		set.authenticated = u.metrics.Authenticated(provider, c)
	}
	set.names, set.renewAt = u.share(b.names), b.renewAt
	set.values = slices.Clone(b.values) // without the room that append has left
	return set, nil
}

// usual is how many headers a set has at most, as a rule.
func (u *HeaderWriter) usual() (n int) {
	if u.standard {
		n = standardHeaders
	}
	if u.phantom {
		n++
	}
	return n + u.custom.Len()
}

// standardHeaders is how many headers of the standard set a mapped token has.
const standardHeaders = 7

// maxShapes is how many lists of names are shared. They differ by what a token
// lacks; where they differ by more, each token has its own.
const maxShapes = 16

// share returns a list with the same names, the same one for many tokens.
func (u *HeaderWriter) share(names []string) []string {
	for {
		known := u.shapes.Load()
		var shapes [][]string
		if known != nil {
			shapes = *known
		}
		if i := slices.IndexFunc(shapes, func(s []string) bool { return slices.Equal(s, names) }); i >= 0 {
			return shapes[i]
		}
		names = slices.Clone(names)
		if len(shapes) >= maxShapes {
			return names
		}
		more := append(slices.Clone(shapes), names)
		if u.shapes.CompareAndSwap(known, &more) {
			return names
		}
	}
}

// headerBuilder builds one header set.
type headerBuilder struct {
	writer  *HeaderWriter
	token   *token.Token // nil for the anonymous consumer
	names   []string
	values  []string
	renewAt int64
}

func (b *headerBuilder) add(name, value string) {
	b.names, b.values = append(b.names, name), append(b.values, value)
}

// standard adds the standard set. A header that the configuration sets itself
// is left out.
func (b *headerBuilder) standard(c *consumer.Consumer) {
	u, token := b.writer, b.token
	set := func(name, value string) {
		switch {
		case value == "" || len(u.customNames) > 0 && u.customNames[headers.Fold(name)]:
		case headers.Sendable(value):
			b.add(u.canonicalName(name), value)
		default:
			if _, before := u.reported.LoadOrStore(name, true); !before {
				u.logger.Warn("a header was not sent to the upstream: its value is too long, contains control characters or begins or ends with a space", zap.String("header", name))
			}
		}
	}
	if c != nil {
		set("X-Consumer-ID", c.ID)
		set("X-Consumer-Custom-ID", c.CustomID)
		set("X-Consumer-Username", c.Username)
	}
	if token == nil {
		set("X-Anonymous-Consumer", "true")
		return
	}
	set("X-OAuth-Client-ID", token.ClientID)
	set("X-Credential-Identifier", token.Credential)
	set("X-Authenticated-Scope", unique.Make(token.JoinedScopes()).Value()) // many tokens have the same
	set("X-Authenticated-Userid", token.Subject)
	if !token.ExpiresAt.IsZero() {
		set(u.expiration, strconv.FormatInt(token.ExpiresAt.Unix(), 10))
	}
}

// custom adds the headers of the configuration.
func (b *headerBuilder) custom(c *consumer.Consumer, vars map[string]any) error {
	u := b.writer
	if u.custom.Len() == 0 {
		return nil
	}
	vars = maps.Clone(vars)
	vars["consumer"] = nil
	if c != nil {
		vars["consumer"] = consumerVar(c)
	}
	var unsigned error
	lines, problems := u.custom.Render(vars, func(claims map[string]any) (string, error) {
		signed, err := b.sign(headers.TypeHeader, claims)
		unsigned = errors.Join(unsigned, err)
		return signed, err
	})
	for _, problem := range problems {
		u.logger.Warn("a header was not sent to the upstream", zap.String("header", problem.Header), zap.Error(problem.Err))
	}
	for _, line := range lines {
		folded := headers.Fold(line.Name)
		if standardNames[folded] && !u.customNames[folded] {
			continue
		}
		b.add(u.canonicalName(line.Name), line.Value)
	}
	return unsigned
}

// phantom replaces the token by a JWT with its claims.
func (b *headerBuilder) phantom() error {
	claims, err := b.token.Claims()
	if err != nil {
		return err
	}
	signed, err := b.sign(headers.TypePhantomToken, claims)
	if err != nil {
		return err
	}
	b.add("Authorization", "Bearer "+signed)
	return nil
}

// sign signs claims that come from the token, if there is one.
func (b *headerBuilder) sign(typ string, claims map[string]any) (string, error) {
	request := headers.SignRequest{Claims: claims, Type: typ, Algorithm: b.writer.algorithm}
	if b.token != nil {
		request.NotAfter, request.OriginalIssuer = b.token.ExpiresAt, b.token.Issuer
	}
	signed, err := b.writer.signer.Sign(request)
	if err != nil {
		return "", err
	}
	if renewAt := signed.RenewAt.UnixNano(); b.renewAt == 0 || renewAt < b.renewAt {
		b.renewAt = renewAt
	}
	return signed.Token, nil
}

// consumerVar is a consumer as expressions see it: with the members of its JSON
// form. Empty members are missing.
func consumerVar(c *consumer.Consumer) map[string]any {
	v := make(map[string]any)
	set := func(name, value string) {
		if value != "" {
			v[name] = value
		}
	}
	set("id", c.ID)
	set("username", c.Username)
	set("custom_id", c.CustomID)
	set("provider", c.Provider)
	for name, texts := range map[string][]string{"tags": c.Tags, "groups": c.Groups} {
		if len(texts) > 0 {
			v[name] = []any(listOf(texts))
		}
	}
	if c.CreatedAt != 0 {
		v["created_at"] = json.Number(strconv.FormatInt(c.CreatedAt, 10))
	}
	return v
}
