// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/open-policy-agent/opa/v1/ast"
)

// verdict is what an answer means for the request.
type verdict struct {
	outcome outcome
	cause   error // of failed

	// What a policy wants the client to get, if it refuses.
	status    int // 0 for the usual one
	location  string
	message   string
	document  []byte
	challenge *challenge

	// What a policy wants to change, if it grants, and in the answer in any case.
	set      http.Header
	removed  []string
	response http.Header
}

type outcome int

const (
	failed    outcome = iota // the answer is none that could be understood
	granted                  // let it pass
	denied                   // refuse it
	undefined                // the policy says nothing
)

var outcomeNames = [...]string{failed: "error", granted: "grant", denied: "deny", undefined: "undefined"}

func (o outcome) String() string { return outcomeNames[o] }

// challenge is what would do in place of what the client has sent.
type challenge struct {
	acr    []string
	maxAge int64
	scope  string
}

// read reads an answer. Only the boolean true grants, alone or as `allow`.
func (p *PEP) read(value ast.Value) *verdict {
	switch value := value.(type) {
	case nil:
		return &verdict{outcome: undefined}
	case ast.Boolean:
		if value {
			return &verdict{outcome: granted}
		}
		return &verdict{outcome: denied}
	case ast.Object:
		return p.readObject(value)
	}
	return broken("the result is %s, neither a boolean nor an object", ast.ValueName(value))
}

func broken(format string, a ...any) *verdict {
	return &verdict{outcome: failed, cause: fmt.Errorf(format, a...)}
}

// readObject reads a result with `allow` (`allowed` to Envoy) and what goes with it.
func (p *PEP) readObject(object ast.Object) *verdict {
	allow, isThere, err := allowOf(object)
	switch {
	case err != nil:
		return &verdict{outcome: failed, cause: err}
	case !isThere:
		return &verdict{outcome: undefined}
	}
	v := &verdict{outcome: denied}
	if allow {
		v.outcome = granted
		err = p.readGrant(v, object)
	} else {
		err = p.readDenial(v, object)
	}
	if err == nil {
		err = p.readResponseHeaders(v, object)
	}
	if err != nil {
		return &verdict{outcome: failed, cause: err}
	}
	return v
}

// memberNames are the members of a result that mean something, made once: looking a
// member up would cost two allocations for its name.
var memberNames = func() map[string]*ast.Term {
	names := map[string]*ast.Term{}
	for _, name := range []string{
		"allow", "allowed", "headers", "request_headers_to_remove", "response_headers_to_add",
		"status", "status_code", "http_status", "message", "reason", "body", "challenge", "acr_values", "scope", "max_age",
	} {
		names[name] = ast.StringTerm(name)
	}
	return names
}()

// memberOf returns a member of a result, nil if there is none.
func memberOf(object ast.Object, name string) *ast.Term { return object.Get(memberNames[name]) }

func allowOf(object ast.Object) (allow, isThere bool, err error) {
	for _, name := range []string{"allow", "allowed"} {
		term := memberOf(object, name)
		if term == nil {
			continue
		}
		value, ok := term.Value.(ast.Boolean)
		if !ok {
			return false, false, fmt.Errorf("%s is %s, not a boolean", name, ast.ValueName(term.Value))
		}
		if isThere && bool(value) != allow {
			return false, false, errors.New("allow and allowed differ")
		}
		allow, isThere = bool(value), true
	}
	return allow, isThere, nil
}

// readGrant reads how the request is changed.
func (p *PEP) readGrant(v *verdict, object ast.Object) error {
	fields, err := headersOf(object, "headers")
	if err != nil {
		return err
	}
	for name, values := range fields {
		if !p.maySet(name) {
			p.warned.once(p.logger, "the policy sets a header that set_headers does not name: it is left out", name)
			continue
		}
		if v.set == nil {
			v.set = http.Header{}
		}
		v.set[name] = values
	}
	removed, err := textsOf(object, "request_headers_to_remove")
	if err != nil {
		return err
	}
	for _, name := range removed {
		if name = http.CanonicalHeaderKey(name); p.maySet(name) {
			v.removed = append(v.removed, name)
			continue
		}
		p.warned.once(p.logger, "the policy removes a header that set_headers does not name: it is left in", name)
	}
	return nil
}

func (p *PEP) maySet(name string) bool {
	return slices.ContainsFunc(p.SetHeaders, func(named string) bool { return http.CanonicalHeaderKey(named) == name })
}

// notForAnswers are headers that a policy cannot add to an answer: they belong to the
// connection, or would log the client in as another person.
var notForAnswers = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Set-Cookie", "Set-Cookie2", "Content-Length", "Content-Type", "Content-Encoding", "Www-Authenticate", "Proxy-Authenticate", "Proxy-Authentication-Info",
	"Authentication-Info", "Location", "Clear-Site-Data",
}

func (p *PEP) readResponseHeaders(v *verdict, object ast.Object) error {
	fields, err := headersOf(object, "response_headers_to_add")
	if err != nil {
		return err
	}
	for name := range fields {
		if slices.Contains(notForAnswers, name) {
			p.warned.once(p.logger, "the policy adds a header to the answer that is not a policy's to add: it is left out", name)
			delete(fields, name)
		}
	}
	v.response = fields
	return nil
}

// Limits of what a policy can tell a client.
const (
	maxMessage  = 200
	maxDocument = 8 << 10
)

// readDenial reads how the request is refused.
func (p *PEP) readDenial(v *verdict, object ast.Object) (err error) {
	v.status = p.statusOf(object)
	if v.status >= 300 && v.status < 400 {
		fields, err := headersOf(object, "headers")
		if err != nil {
			p.warned.once(p.logger, "the policy redirects with headers that cannot be sent: it is 403 instead", err.Error())
			fields, v.status = nil, 0
		}
		v.location = strings.Join(fields["Location"], ", ")
	}
	for _, name := range []string{"message", "reason", "body"} {
		term := memberOf(object, name)
		if term == nil {
			continue
		}
		if v.message, v.document, err = p.messageOf(name, term.Value); err != nil {
			return err
		}
		break
	}
	v.challenge, err = challengeOf(object)
	return err
}

// statusOf returns the status that a policy wants, 0 for the usual one, which also
// takes the place of what cannot be the status of a refusal.
func (p *PEP) statusOf(object ast.Object) int {
	for _, name := range []string{"status", "status_code", "http_status"} {
		term := memberOf(object, name)
		if term == nil {
			continue
		}
		status, ok := 0, false
		if number, isNumber := term.Value.(ast.Number); isNumber {
			status, ok = number.Int()
		}
		if !ok || status < 400 && status != 302 && status != 303 && status != 307 || status > 499 {
			p.warned.once(p.logger, "the policy refuses with a status that no refusal has: it is 403 instead", cleaned(term.String()))
			return 0
		}
		return status
	}
	return 0
}

// messageOf returns the description that a policy gives, or its document.
func (p *PEP) messageOf(name string, value ast.Value) (string, []byte, error) {
	if text, ok := value.(ast.String); ok {
		return cleaned(string(text)), nil, nil
	}
	plain, err := ast.JSON(value)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", name, err)
	}
	document, err := json.Marshal(plain)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(document) > maxDocument {
		p.warned.once(p.logger, "the policy answers with a document of more than 8 KiB: the client gets the usual one", name)
		return "", nil, nil
	}
	return "", document, nil
}

// cleaned makes a text fit to be shown: no control characters, and not too long.
func cleaned(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, text)
	for i, count := 0, 0; i < len(text); count++ {
		if count == maxMessage {
			return text[:i]
		}
		_, size := decodeRune(text[i:])
		i += size
	}
	return text
}

func challengeOf(object ast.Object) (*challenge, error) {
	term := memberOf(object, "challenge")
	if term == nil {
		return nil, nil
	}
	wanted, ok := term.Value.(ast.Object)
	if !ok {
		return nil, fmt.Errorf("challenge is %s, not an object", ast.ValueName(term.Value))
	}
	var c challenge
	var err error
	if c.acr, err = textsOf(wanted, "acr_values"); err != nil {
		return nil, err
	}
	scopes, err := textsOf(wanted, "scope")
	if err != nil {
		return nil, err
	}
	c.scope = strings.Join(scopes, " ")
	if age := memberOf(wanted, "max_age"); age != nil {
		number, ok := age.Value.(ast.Number)
		if !ok {
			return nil, fmt.Errorf("max_age is %s, not a number", ast.ValueName(age.Value))
		}
		if c.maxAge, ok = number.Int64(); !ok || c.maxAge < 1 {
			return nil, fmt.Errorf("max_age is %s, not a whole number of seconds above 0", number)
		}
	}
	if len(c.acr) == 0 && c.maxAge == 0 && c.scope == "" {
		return nil, errors.New("challenge asks for nothing: it has acr_values, max_age or scope")
	}
	return &c, nil
}

// textsOf returns a list of texts; a single text is a list of its words.
func textsOf(object ast.Object, name string) ([]string, error) {
	term := memberOf(object, name)
	if term == nil {
		return nil, nil
	}
	if text, ok := term.Value.(ast.String); ok {
		return strings.Fields(string(text)), nil
	}
	var list []string
	var err error
	each(term.Value, func(element *ast.Term) {
		text, ok := element.Value.(ast.String)
		if !ok {
			err = fmt.Errorf("%s contains %s, not only texts", name, ast.ValueName(element.Value))
		}
		list = append(list, string(text))
	}, func() { err = fmt.Errorf("%s is %s, not a list of texts", name, ast.ValueName(term.Value)) })
	return list, err
}

// each calls see with the elements of a list or a set, or otherwise.
func each(value ast.Value, see func(*ast.Term), otherwise func()) {
	switch value := value.(type) {
	case *ast.Array:
		value.Foreach(see)
	case ast.Set:
		value.Foreach(see)
	default:
		otherwise()
	}
}

// headersOf returns the header fields that a policy gives, by their canonical names:
// an object, or a list of objects as Envoy has it.
func headersOf(object ast.Object, name string) (http.Header, error) {
	term := memberOf(object, name)
	if term == nil {
		return nil, nil
	}
	fields := http.Header{}
	if one, ok := term.Value.(ast.Object); ok {
		return fields, addFields(fields, name, one)
	}
	var err error
	each(term.Value, func(element *ast.Term) {
		one, ok := element.Value.(ast.Object)
		if !ok {
			err = fmt.Errorf("%s contains %s, not only objects", name, ast.ValueName(element.Value))
			return
		}
		err = errors.Join(err, addFields(fields, name, one))
	}, func() { err = fmt.Errorf("%s is %s, not an object", name, ast.ValueName(term.Value)) })
	return fields, err
}

func addFields(fields http.Header, where string, object ast.Object) error {
	return object.Iter(func(name, value *ast.Term) error {
		text, ok := name.Value.(ast.String)
		if !ok || !isFieldName(string(text)) {
			return fmt.Errorf("%s has %s, which is not the name of a header", where, name)
		}
		canonical := http.CanonicalHeaderKey(string(text))
		if list, ok := value.Value.(*ast.Array); ok {
			var err error
			list.Foreach(func(element *ast.Term) { err = errors.Join(err, addField(fields, where, canonical, element)) })
			return err
		}
		return addField(fields, where, canonical, value)
	})
}

func addField(fields http.Header, where, name string, value *ast.Term) error {
	var text string
	switch v := value.Value.(type) {
	case ast.String:
		text = string(v)
	case ast.Number:
		text = string(v)
	case ast.Boolean:
		text = strconv.FormatBool(bool(v))
	default:
		return fmt.Errorf("%s: the value of %s is %s, not a text", where, name, ast.ValueName(value.Value))
	}
	if !isFieldValue(text) {
		return fmt.Errorf("%s: the value of %s contains control characters or is longer than %d bytes", where, name, maxField)
	}
	fields[name] = append(fields[name], text)
	return nil
}

// apply changes a granted request.
func (v *verdict) apply(h http.Header) {
	for _, name := range v.removed {
		delete(h, name)
	}
	maps.Copy(h, v.set)
}

// addResponseHeaders adds to the answer what the policy wants.
func (v *verdict) addResponseHeaders(h http.Header) {
	for name, values := range v.response {
		h[name] = append(h[name], values...)
	}
}
