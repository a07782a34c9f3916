// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"encoding/json"
	"errors"
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
	"github.com/caddy-gluu/gateway/introspect"
)

// upstream makes the headers that tell an upstream who is calling. What they
// say depends on the token, the consumer and the handler, not on the request:
// they are made once and kept in the token's slot of this handler.
type upstream struct {
	standard   bool
	expiration string          // the name of the header with the token's end
	custom     *headers.Set    // what the configuration adds
	named      map[string]bool // folded names that custom sets, keys of objects aside
	spelled    map[string]string
	phantom    bool
	algorithm  string
	signer     *headers.Signer
	metrics    *Metrics
	logger     *zap.Logger

	shapes atomic.Pointer[[][]string] // lists of names that renderings share

	reported sync.Map // standard headers that could not be sent, for one log line each
}

// rendering is what the upstream is told about one token and consumer.
type rendering struct {
	consumer      *consumer.Consumer
	names         []string // shared with other tokens
	values        []string
	renewAt       int64 // when a signature has to be made anew, in nanoseconds since 1970; 0: never
	authenticated Count
}

// apply sets the headers. The values of one request are a single block of
// memory, and never shared with another request: Caddy's header operations
// edit values in place.
func (r *rendering) apply(h http.Header) {
	values := slices.Clone(r.values)
	for i, name := range r.names {
		h[name] = values[i : i+1 : i+1]
	}
}

// isFor reports whether the rendering is good for a request at this time.
func (r *rendering) isFor(c *consumer.Consumer) bool {
	return r != nil && r.consumer == c && (r.renewAt == 0 || time.Now().UnixNano() < r.renewAt)
}

// standardNames are the folded names of the standard set. Keys of an object
// make up none of them, whether or not they are set: that a claim is called
// consumer-id makes its value no consumer.
var standardNames = func() map[string]bool {
	names := make(map[string]bool)
	for _, name := range headers.StandardNames() {
		names[headers.Fold(name)] = true
	}
	return names
}()

func namesOf(set *headers.Set) map[string]bool {
	named := make(map[string]bool)
	for _, name := range set.Names() {
		if !strings.Contains(name, headers.Wildcard) {
			named[headers.Fold(name)] = true
		}
	}
	return named
}

// spell returns a name in the form that net/http keeps headers under. A
// rendering is kept for each token, so that all share one spelling of the
// names that the configuration knows.
func (u *upstream) spell(name string) string {
	if spelled, ok := u.spelled[name]; ok {
		return spelled
	}
	return http.CanonicalHeaderKey(name)
}

func spellings(set *headers.Set) map[string]string {
	spelled := make(map[string]string)
	for _, name := range slices.Concat(headers.StandardNames(), set.Names()) {
		spelled[name] = http.CanonicalHeaderKey(name)
	}
	return spelled
}

// render makes the headers for a verified token, or for the anonymous consumer
// if there is none. An error means that the upstream cannot be told what the
// configuration promises.
func (u *upstream) render(provider string, token *introspect.Token, c *consumer.Consumer) (*rendering, error) {
	r := &draft{upstream: u, token: token}
	if u.standard {
		r.standard(c)
	}
	if err := r.custom(c); err != nil {
		return nil, err
	}
	rendered := &rendering{consumer: c}
	if token != nil {
		if u.phantom && !token.JWT {
			if err := r.phantom(); err != nil {
				return nil, err
			}
		}
		rendered.authenticated = u.metrics.Authenticated(provider, c)
	}
	rendered.names, rendered.renewAt = u.share(r.names), r.renewAt
	rendered.values = slices.Clone(r.values) // without the room that append has left
	return rendered, nil
}

// maxShapes is how many lists of names are shared. They differ by what a token
// lacks; where they differ by more, each token has its own.
const maxShapes = 16

// share returns a list with the same names, the same one for many tokens.
func (u *upstream) share(names []string) []string {
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

// draft is a rendering while it is made.
type draft struct {
	upstream *upstream
	token    *introspect.Token // nil for the anonymous consumer
	names    []string
	values   []string
	renewAt  int64
}

func (r *draft) add(name, value string) {
	r.names, r.values = append(r.names, name), append(r.values, value)
}

// standard adds the standard set. A header that the configuration sets
// otherwise is left to it.
func (r *draft) standard(c *consumer.Consumer) {
	u, token := r.upstream, r.token
	set := func(name, value string) {
		switch {
		case value == "" || u.named[headers.Fold(name)]:
		case headers.Sendable(value):
			r.add(u.spell(name), value)
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
	set("X-Authenticated-Scope", unique.Make(strings.Join(token.Scopes, " ")).Value()) // many tokens have the same
	set("X-Authenticated-Userid", token.Subject)
	if !token.ExpiresAt.IsZero() {
		set(u.expiration, strconv.FormatInt(token.ExpiresAt.Unix(), 10))
	}
}

// custom adds the headers of the configuration.
func (r *draft) custom(c *consumer.Consumer) error {
	u, token := r.upstream, r.token
	if u.custom.Len() == 0 {
		return nil
	}
	vars := map[string]any{"introspect_data": nil, "consumer": nil}
	if token != nil {
		claims, err := token.Claims()
		if err != nil {
			return err
		}
		vars["introspect_data"] = claims
	}
	if c != nil {
		vars["consumer"] = consumerVar(c)
	}
	var unsigned error
	lines, problems := u.custom.Render(vars, func(claims map[string]any) (string, error) {
		signed, err := r.sign(claims)
		unsigned = errors.Join(unsigned, err)
		return signed, err
	})
	for _, problem := range problems {
		u.logger.Warn("a header was not sent to the upstream", zap.String("header", problem.Header), zap.Error(problem.Err))
	}
	for _, line := range lines {
		folded := headers.Fold(line.Name)
		if standardNames[folded] && !u.named[folded] {
			continue
		}
		r.add(u.spell(line.Name), line.Value)
	}
	return unsigned
}

// phantom puts a JWT with the token's claims in the token's place.
func (r *draft) phantom() error {
	claims, err := r.token.Claims()
	if err != nil {
		return err
	}
	signed, err := r.sign(claims)
	if err != nil {
		return err
	}
	r.add("Authorization", "Bearer "+signed)
	return nil
}

// sign signs claims that come from the token, if there is one.
func (r *draft) sign(claims map[string]any) (string, error) {
	request := headers.SignRequest{Claims: claims, Algorithm: r.upstream.algorithm}
	if r.token != nil {
		request.NotAfter, request.OriginalIssuer = r.token.ExpiresAt, r.token.Issuer
	}
	signed, err := r.upstream.signer.Sign(request)
	if err != nil {
		return "", err
	}
	if renewAt := signed.RenewAt.UnixNano(); r.renewAt == 0 || renewAt < r.renewAt {
		r.renewAt = renewAt
	}
	return signed.Token, nil
}

// consumerVar is a consumer as expressions see it: with the members of its
// JSON form. One that is empty is not there.
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
	if len(c.Tags) > 0 {
		tags := make([]any, len(c.Tags))
		for i, tag := range c.Tags {
			tags[i] = tag
		}
		v["tags"] = tags
	}
	if c.CreatedAt != 0 {
		v["created_at"] = json.Number(strconv.FormatInt(c.CreatedAt, 10))
	}
	return v
}
