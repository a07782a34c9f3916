// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/internal/decisions"
	"github.com/caddy-gluu/gateway/internal/events"
	"github.com/caddy-gluu/gateway/internal/siteguard"
)

// DefaultRealm is the realm of challenges where none is configured.
const DefaultRealm = "api"

// Answerer answers refused clients and keeps the records of it.
type Answerer struct {
	// JSON says that the answer is written here; otherwise the error goes to
	// the routes of Caddy's `handle_errors`.
	JSON bool

	// Realm is named in challenges. A handler without one of its own leaves it
	// empty: then it is that of the request's identity.
	Realm string

	// Stripper removes the identity from the headers of a refused request
	// before error routes see it.
	Stripper func() *headers.Stripper

	Logger  *zap.Logger
	Metrics *Metrics
	Events  *events.Emitter // nil: none

	// Handler is the handler for which it answers, as the register of decisions
	// knows it.
	Handler decisions.HandlerID

	takeout *takeout // of tokens that are not in the Authorization header; nil: none are
}

// Refuse answers a request with a refusal, and writes one line to the log. In
// the format of Caddy the answer is the returned error; the challenge is
// already in the header and survives.
func (a *Answerer) Refuse(w http.ResponseWriter, r *http.Request, refusal Refusal) error {
	return a.RefuseAs(w, r, Of(r), refusal)
}

// RefuseAs is Refuse on behalf of an identity that the request does not carry.
func (a *Answerer) RefuseAs(w http.ResponseWriter, r *http.Request, id *Identity, refusal Refusal) error {
	a.Record(r, id, refusal, "request refused")
	a.EmitRefused(r, id, refusal)

	a.SetFields(w, r, id, refusal)
	if !a.JSON {
		return a.hand(r, refusal)
	}
	body, err := refusal.answer(RequestID(r))
	if err != nil {
		return caddyhttp.Error(http.StatusInternalServerError, err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(refusal.Status)
	_, _ = w.Write(body) // the client may have gone; nothing to do about that
	return nil
}

// SetFields sets the header fields of a refusal: its challenge, when to try again,
// and that no cache keeps it, whatever form the answer has.
func (a *Answerer) SetFields(w http.ResponseWriter, r *http.Request, id *Identity, refusal Refusal) {
	siteguard.NoStore(w) // a refusal is about one caller at one time
	h := w.Header()
	if refusal.Challenge != nil {
		h["Www-Authenticate"] = []string{string(refusal.Challenge.append(nil, a.realm(id), resourceMetadata(r).address()))}
	}
	for _, field := range refusal.Fields {
		h.Set(field.Name, field.Value)
	}
	if refusal.RetryAfter > 0 {
		seconds := int64((refusal.RetryAfter + time.Second - 1) / time.Second)
		h.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
}

// answer is the body of the answer: the document that a policy wants, or the usual.
func (r Refusal) answer(requestID string) ([]byte, error) {
	if r.Body != nil {
		return r.Body, nil
	}
	return r.body(requestID)
}

// body is the answer in JSON. It is not part of a page, and people read it, so
// < and > stay as they are.
func (r Refusal) body(requestID string) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	members := map[string]string{"error": r.Error, "error_description": r.Description}
	if r.Message != "" {
		members["message"] = r.Message
	}
	if requestID != "" {
		members["request_id"] = requestID
	}
	if r.DecisionID != "" {
		members["decision_id"] = r.DecisionID
	}
	err := encoder.Encode(members)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// hand returns a refusal as an error for `handle_errors`, which finds it in
// placeholders. An upstream that serves the error page must not take the request
// for a granted one.
func (a *Answerer) hand(r *http.Request, refusal Refusal) error {
	a.forgetCaller(r)
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("gluu.error", refusal.Error)
		repl.Set("gluu.error.description", refusal.Description)
		repl.Set("gluu.error.reason", refusal.Reason)
		repl.Set("gluu.rule", refusal.Rule)
		repl.Set("gluu.operation", refusal.Operation)
	}
	return caddyhttp.Error(refusal.Status, errors.New(refusal.Error+": "+refusal.Description))
}

// forgetCaller removes from a request what the gateway has found out about its
// sender, and the credential that did not suffice.
func (a *Answerer) forgetCaller(r *http.Request) {
	if a.Stripper != nil {
		a.Stripper().StripRequest(r)
	}
	removeCredential(r.Header)
	if a.takeout != nil && !a.takeout.keep {
		_, _, _ = a.takeout.take(r) // a site's refusal comes before any handler
	}
	if id := Of(r); id != nil {
		id.refused = true
	}
}

// Record counts and logs a refusal without answering it: what Refuse does
// first, and all that a handler does which only tries its rules out.
func (a *Answerer) Record(r *http.Request, id *Identity, refusal Refusal, message string) {
	level := zapcore.InfoLevel
	switch refusal.Reason {
	case ReasonProviderUnavailable, ReasonAnswerUnreadable, ReasonNotAuthenticated, ReasonNotReady, ReasonInternal,
		ReasonPolicyUndefined, ReasonPolicyError, ReasonPolicyTimeout, ReasonPolicyUnavailable:
		level = zapcore.ErrorLevel // an operator has to act
	}
	if hungUp(r, refusal) {
		level = zapcore.DebugLevel
	} else {
		a.Metrics.Refused(refusal.Reason, refusal.Rule)
		Remember(r, id, a.Handler, &refusal, message == WouldRefuse)
	}
	entry := a.Logger.Check(level, message)
	if entry == nil {
		return
	}
	fields := append(fieldsOf(r, id, refusal.Rule, refusal.Operation),
		zap.String("reason", refusal.Reason),
		zap.Int("status", refusal.Status))
	fields = append(fields, refusal.compared()...)
	if refusal.DecisionID != "" {
		fields = append(fields, zap.String("decision_id", refusal.DecisionID))
	}
	fields = append(fields, refusal.Log...)
	if refusal.Cause != nil {
		fields = append(fields, zap.Error(refusal.Cause))
	}
	entry.Write(fields...)
}

// hungUp reports whether the client left while the authorization server or the
// policy server was asked. That says nothing about the server, and must not let clients raise an
// alarm about it.
func hungUp(r *http.Request, refusal Refusal) bool {
	asked := refusal.Reason == ReasonProviderUnavailable || refusal.Reason == ReasonPolicyUnavailable
	return asked && errors.Is(r.Context().Err(), context.Canceled)
}

// EmitRefused emits the event of a refusal, with the same data as its log line. A
// handler calls it that answers with a page of its own.
func (a *Answerer) EmitRefused(r *http.Request, id *Identity, refusal Refusal) {
	if !a.Events.Enabled(events.Refused) || hungUp(r, refusal) {
		return
	}
	encoder := zapcore.NewMapObjectEncoder()
	for _, field := range fieldsOf(r, id, refusal.Rule, refusal.Operation) {
		field.AddTo(encoder)
	}
	encoder.AddString("reason", refusal.Reason)
	encoder.AddInt("status", refusal.Status)
	a.Events.Emit(events.Refused, encoder.Fields)
}

// Granted logs that a request may pass. The identity cannot be nil.
func (a *Answerer) Granted(r *http.Request, id *Identity, more ...zap.Field) {
	if entry := a.Logger.Check(zapcore.InfoLevel, "request granted"); entry != nil {
		entry.Write(append(fieldsOf(r, id, id.Rule, id.Operation), more...)...)
	}
}

// fieldsOf says in a log line which request it is about and whose. The query
// is left out, since clients put tokens there.
func fieldsOf(r *http.Request, id *Identity, rule, operation string) []zap.Field {
	fields := make([]zap.Field, 0, 15)
	fields = append(fields,
		zap.String("request_id", RequestID(r)),
		zap.String("method", r.Method),
		zap.String("host", r.Host),
		zap.String("path", shortened(r.URL.EscapedPath())),
		zap.String("client_ip", clientIP(r)),
		zap.String("rule", rule),
		zap.String("client_id", id.ClientID()))
	if operation != "" {
		fields = append(fields, zap.String("operation", operation))
	}
	if id == nil {
		return append(fields, zap.String("consumer", ""), zap.String("provider", ""))
	}
	name := ""
	if id.Consumer != nil {
		name = id.Consumer.Name()
	}
	return append(fields, zap.String("consumer", name), zap.String("provider", id.Provider))
}

func clientIP(r *http.Request) string {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}

// shortened keeps a log line readable whatever the client sends.
func shortened(path string) string { return cut(path, 256) }

func cut(text string, most int) string {
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

func (a *Answerer) realm(id *Identity) string {
	switch {
	case a.Realm != "":
		return a.Realm
	case id != nil && id.Realm != "":
		return id.Realm
	}
	return DefaultRealm
}

// ResourceMetadata says where the metadata of a protected resource is
// (RFC 9728). None of it may come from a request.
type ResourceMetadata struct {
	URL  string // of the metadata
	Path string // of the resource, decoded and without a slash at its end
}

// resourceMetadataVar is the request variable with the metadata.
const resourceMetadataVar = "gluu.resource_metadata"

// SetResourceMetadata tells the handlers that follow where the metadata of the
// protected resource is, so that their challenges point to it (RFC 9728,
// section 5.1). Of several resources on a site it is the one with the longest
// path that the request is below; the first one if it is below none, for
// example behind a proxy that strips a part of the path.
func SetResourceMetadata(r *http.Request, m *ResourceMetadata) {
	path := r.URL.Path
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		path = original.URL.Path // before handle_path, say
	}
	before := resourceMetadata(r)
	if before == nil || m.has(path) && (!before.has(path) || len(m.Path) > len(before.Path)) {
		caddyhttp.SetVar(r.Context(), resourceMetadataVar, m)
	}
}

func (m *ResourceMetadata) address() string {
	if m == nil {
		return ""
	}
	return m.URL
}

// has reports whether a path is that of the resource, or below it.
func (m *ResourceMetadata) has(path string) bool {
	rest, ok := strings.CutPrefix(path, m.Path)
	return ok && (rest == "" || rest[0] == '/')
}

// resourceMetadata returns what SetResourceMetadata has set, nil if nothing. It
// is a pointer so that no allocation is made per request, and so that a `vars`
// directive, which can set only strings, cannot take its place.
func resourceMetadata(r *http.Request) *ResourceMetadata {
	m, _ := caddyhttp.GetVar(r.Context(), resourceMetadataVar).(*ResourceMetadata)
	return m
}

// publicVar marks requests that are answered with a document for everybody.
const publicVar = "gluu.public"

// MarkPublic is called before a document is written that every web page may
// read, whatever the site says about others.
func MarkPublic(r *http.Request) { caddyhttp.SetVar(r.Context(), publicVar, true) }

// IsPublic reports whether MarkPublic was called for the request.
func IsPublic(r *http.Request) bool {
	public, _ := caddyhttp.GetVar(r.Context(), publicVar).(bool)
	return public
}
