// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/headers"
)

// How a token is taken out of the places that are configured. Each place is looked
// at, also after one had a token: two tokens could be read as one caller here and
// as another one by the upstream. Everything else in the query, the cookies and the
// form stays byte for byte as it was sent.

// takeout takes tokens out of requests.
type takeout struct {
	places []TokenPlace
	most   int // bytes of a token

	// first is set if the first place that has a token decides. Otherwise a second
	// token is an error.
	first bool

	// keep leaves the tokens where they are, for a dry run.
	keep bool
}

// errSeveralTokens is an error of take. Its text is for the client.
var errSeveralTokens = errors.New("the request has more than one access token: send one")

// formRoom is how many bytes a form may have beside its token. Larger ones are not
// looked at: they would have to be kept in memory for callers without a valid token.
const formRoom = 64 << 10

// take returns the token of a request, empty if there is none, and whether it was
// elsewhere than in the Authorization header. All tokens that are elsewhere are
// removed from the request, and an Authorization header beside the one that was
// chosen too, since nothing has verified that one.
func (t *takeout) take(r *http.Request) (credential Credential, elsewhere bool, err error) {
	var found []Credential // of the place that decides, or of all
	var malformed error
	header, removed := false, false
	add := func(credentials ...Credential) {
		if !t.first || len(found) == 0 {
			found = append(found, credentials...)
		}
	}
	for _, place := range t.places {
		if place.In == inAuthorization {
			credential, err := readCredential(r.Header, t.most)
			if malformed = err; credential.Token != "" {
				header = len(found) == 0
				add(credential)
			}
			continue
		}
		var here []Credential
		for _, value := range t.takeFrom(r, place) {
			if value != "" {
				here, removed = append(here, Credential{Bearer, value}), true
			}
		}
		add(here...)
	}
	chosenElsewhere := removed && !(t.first && header)
	if chosenElsewhere && !t.keep {
		removeCredential(r.Header)
	}
	switch {
	case len(found) > 1:
		return Credential{}, chosenElsewhere, errSeveralTokens
	case malformed != nil:
		return Credential{}, chosenElsewhere, malformed
	case len(found) == 0:
		return Credential{}, false, nil
	case len(found[0].Token) > t.most:
		return Credential{}, chosenElsewhere, tooLong(t.most)
	}
	return found[0], chosenElsewhere, nil
}

// takeFrom returns the values at a place other than the Authorization header.
func (t *takeout) takeFrom(r *http.Request, place TokenPlace) []string {
	switch place.In {
	case inHeader:
		return t.fromHeader(r.Header, place.Name)
	case inQuery:
		return t.fromQuery(r, place.Name)
	case inCookie:
		return t.fromCookies(r.Header, place.Name)
	}
	return t.fromForm(r)
}

// fromHeader also removes other spellings of the name, which are the same header
// to some upstreams. They are not read.
func (t *takeout) fromHeader(h http.Header, name string) (tokens []string) {
	for _, value := range h[http.CanonicalHeaderKey(name)] {
		value = strings.Trim(value, " \t")
		if scheme, token, ok := strings.Cut(value, " "); ok && strings.EqualFold(scheme, string(Bearer)) {
			value = strings.TrimLeft(token, " ")
		}
		tokens = append(tokens, value)
	}
	if t.keep {
		return tokens
	}
	folded := headers.Fold(name)
	for sent := range h {
		if len(sent) == len(folded) && headers.Fold(sent) == folded {
			delete(h, sent)
		}
	}
	return tokens
}

func (t *takeout) fromQuery(r *http.Request, name string) []string {
	rest, tokens := cutParameter(r.URL.RawQuery, name)
	if len(tokens) == 0 || t.keep {
		return tokens
	}
	r.URL.RawQuery = rest
	r.URL.ForceQuery = false
	r.RequestURI = r.URL.RequestURI() // as Caddy's rewrite does
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || original.URL == nil {
		return tokens
	}
	original.URL.RawQuery, _ = cutParameter(original.URL.RawQuery, name)
	SetOriginal(r, original)
	return tokens
}

// cutParameter returns a query or form without the parameters of a name, and their
// values. All others stay as they are.
func cutParameter(text, name string) (rest string, values []string) {
	if text == "" {
		return "", nil
	}
	var kept []string
	for part := range strings.SplitSeq(text, "&") {
		key, value, _ := strings.Cut(part, "=")
		if key, err := url.QueryUnescape(key); err != nil || key != name {
			kept = append(kept, part)
			continue
		}
		if decoded, err := url.QueryUnescape(value); err == nil {
			value = decoded
		}
		values = append(values, value)
	}
	if len(values) == 0 {
		return text, nil
	}
	return strings.Join(kept, "&"), values
}

func (t *takeout) fromCookies(h http.Header, name string) (tokens []string) {
	lines := h["Cookie"]
	var rest []string
	for _, line := range lines {
		kept, values := cutCookie(line, name)
		tokens = append(tokens, values...)
		if len(values) == 0 || kept != "" {
			rest = append(rest, kept)
		}
	}
	switch {
	case len(tokens) == 0 || t.keep:
	case len(rest) == 0:
		delete(h, "Cookie")
	default:
		h["Cookie"] = rest
	}
	return tokens
}

// cutCookie returns a Cookie header without the cookies of a name, and their
// values (RFC 6265, section 4.2.1).
func cutCookie(line, name string) (rest string, values []string) {
	var kept []string
	for part := range strings.SplitSeq(line, ";") {
		key, value, ok := strings.Cut(strings.Trim(part, " \t"), "=")
		if !ok || strings.TrimRight(key, " \t") != name {
			kept = append(kept, part)
			continue
		}
		value = strings.TrimLeft(value, " \t")
		if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		values = append(values, value)
	}
	if len(values) == 0 {
		return line, nil
	}
	return strings.TrimLeft(strings.Join(kept, ";"), " \t"), values
}

// fromForm reads an urlencoded body of bounded size, and gives the request one that
// can be read again.
func (t *takeout) fromForm(r *http.Request) []string {
	most := int64(t.most + formRoom)
	if !isForm(r) || r.ContentLength > most {
		return nil
	}
	sent := r.Body
	read, err := io.ReadAll(io.LimitReader(sent, most+1))
	if err != nil || int64(len(read)) > most {
		// Unfinished or too large: what the upstream gets is what came.
		r.Body = replayed{io.MultiReader(bytes.NewReader(read), after{sent, err}), sent}
		return nil
	}
	rest, tokens := cutParameter(string(read), formParameter)
	if len(tokens) > 0 && !t.keep {
		read = []byte(rest)
	}
	r.Body = replayed{bytes.NewReader(read), sent}
	if r.ContentLength >= 0 && int64(len(read)) != r.ContentLength {
		r.ContentLength = int64(len(read))
		r.Header["Content-Length"] = []string{strconv.Itoa(len(read))}
	}
	return tokens
}

// isForm reports whether the body of a request may be a form with a token (RFC
// 6750, section 2.2). Parameters of the media type do not matter: some upstream
// reads the form whatever they are.
func isForm(r *http.Request) bool {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return false
	}
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "application/x-www-form-urlencoded") && len(r.Header["Content-Encoding"]) == 0
}

// replayed is a body of which the beginning, or all, has been read.
type replayed struct {
	io.Reader
	io.Closer
}

// after reads on where a body was left, or fails again as it did.
type after struct {
	rest io.Reader
	err  error
}

func (a after) Read(p []byte) (int, error) {
	if a.err != nil {
		return 0, a.err
	}
	return a.rest.Read(p)
}

// SetOriginal replaces the copy of a request that Caddy keeps from before all
// handlers, everywhere where an upstream may read it. The URL of the new one is the
// old one's, changed in place, since all copies share it.
func SetOriginal(r *http.Request, original http.Request) {
	original.RequestURI = original.URL.RequestURI()
	*r = *r.WithContext(context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, original))
	// Caddy's placeholders read the context of the request that they were made
	// for, which is another one if a handler has made a copy since.
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.request.orig_uri", original.RequestURI)
	}
}

// hasPlace reports whether a token may be in a place of this kind.
func (t *takeout) hasPlace(kind string) bool {
	return t != nil && slices.ContainsFunc(t.places, func(p TokenPlace) bool { return p.In == kind })
}
