// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// Stripping: a header that the gateway sets is worth something only if a client
// cannot forge it. Three things make that harder than a call of Header.Del.
//
// Spellings. CGI, WSGI, Rack and PHP hand headers to an application as
// variables, for example HTTP_X_CONSUMER_ID, and every character but letters
// and digits becomes an underscore on the way: `-` and `_` everywhere, `.` in
// PHP, any other character in Apache and lighttpd. So X_Consumer.ID is
// X-Consumer-ID to such an application, whichever of the two comes later wins,
// and both are removed. Names are compared folded: in lower case, and with `-`
// for every other character.
//
// Trailers. A chunked body may be followed by more headers, which net/http puts
// into Request.Trailer only when the body has been read to its end, long after
// this package has looked at the request, and which reverse_proxy sends on. What
// frames, routes or authenticates a request may not be a trailer (RFC 9110,
// section 6.5.1), and is removed like a reserved name: an upstream that merges
// trailers into headers would take it for what the gateway has checked.
//
// Overrides. Some upstreams execute another method than the one that was decided
// on, or serve another path, if a header says so: see StripOverrides.
//
// Connection. Its value names headers that end at the next hop; a proxy removes
// them. `Connection: X-Consumer-ID` would make a proxy behind this handler
// remove the header that the gateway has set.
//
// All of this runs on every request and nearly always finds nothing, so a
// header is first judged by the class of its first letter and its length, two
// array lookups, before its name is folded and looked up.

// StandardNames returns the names of the standard set, which are stripped
// whether or not the configuration sets them.
func StandardNames() []string {
	return []string{
		"X-Consumer-ID",
		"X-Consumer-Custom-ID",
		"X-Consumer-Username",
		"X-Consumer-Groups",
		"X-Credential-Identifier",
		"X-Credential-Username", // Kong's, which it removes too: upstreams that come from there may believe it
		"X-OAuth-Client-ID",
		"X-OAuth-Expiration",
		"X-RPT-Expiration",
		"X-Authenticated-Scope",
		"X-Authenticated-Userid",
		"X-Anonymous-Consumer",
	}
}

// Wildcard is the place of an iterated object's key in a header name.
const Wildcard = "{*}"

// Fold returns the form in which two header names are compared: two names with
// the same folded form may be one header to an upstream.
func Fold(name string) string {
	return string(appendFolded(make([]byte, 0, len(name)), name))
}

func appendFolded(dst []byte, name string) []byte {
	for i := range len(name) {
		dst = append(dst, foldByte(name[i]))
	}
	return dst
}

func foldByte(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	}
	return '-'
}

// Stripper removes headers that only the gateway may set. It is immutable and
// safe for concurrent use.
type Stripper struct {
	// lengths[class of the first byte] has bit n set if a name of n bytes in
	// this class may be reserved; the last bit covers all longer names.
	lengths [classes]uint64

	exact    map[string]struct{} // folded names
	patterns []pattern           // names with a wildcard
}

// pattern is a folded name with a wildcard: everything that begins and ends
// so, unless it is a name that the gateway never sets.
type pattern struct{ prefix, suffix string }

const (
	otherClass = 36 // of what is neither letter nor digit
	classes    = 37
	longNames  = 63 // the bit for names of this length and more
	onStack    = 96 // names up to this length are folded without allocation
)

// class is the index of a folded byte in Stripper.lengths.
func class(c byte) int {
	switch {
	case 'a' <= c && c <= 'z':
		return int(c - 'a')
	case '0' <= c && c <= '9':
		return int(c-'0') + 26
	}
	return otherClass
}

// NewStripper returns a Stripper for the standard set and the given names, in
// which a [Wildcard] matches any text. Names that no [Header] may have are left
// out: a configuration cannot ask to strip Host or Authorization.
func NewStripper(names []string) *Stripper {
	s := &Stripper{exact: make(map[string]struct{})}
	for _, name := range slices.Concat(StandardNames(), names) {
		s.add(name)
	}
	return s
}

func (s *Stripper) add(name string) {
	prefix, suffix, iterated := strings.Cut(name, Wildcard)
	prefix, suffix = Fold(prefix), Fold(suffix)
	if prefix == "" {
		return // a name that begins with a wildcard is refused when compiled
	}
	first := &s.lengths[class(prefix[0])]
	if !iterated {
		if notOurs(prefix) {
			return
		}
		s.exact[prefix] = struct{}{}
		*first |= 1 << min(len(prefix), longNames)
		return
	}
	p := pattern{prefix, suffix}
	if !slices.Contains(s.patterns, p) {
		s.patterns = append(s.patterns, p)
	}
	for n := min(len(prefix)+len(suffix), longNames); n <= longNames; n++ {
		*first |= 1 << n
	}
}

// Reserved reports whether a header of this name, in this or another spelling,
// is one that only the gateway may set.
func (s *Stripper) Reserved(name string) bool {
	if name == "" || s.lengths[class(foldByte(name[0]))]&(1<<min(len(name), longNames)) == 0 {
		return false
	}
	var buf [onStack]byte
	folded := appendFolded(buf[:0], name)
	if _, ok := s.exact[string(folded)]; ok {
		return true
	}
	for _, p := range s.patterns {
		if len(folded) >= len(p.prefix)+len(p.suffix) &&
			string(folded[:len(p.prefix)]) == p.prefix &&
			string(folded[len(folded)-len(p.suffix):]) == p.suffix {
			return !notOurs(string(folded))
		}
	}
	return false
}

// Strip removes all reserved headers, what Connection says about them, and the
// offer to switch to another version of HTTP. It handles only headers; a
// request may also carry trailers: see StripRequest.
func (s *Stripper) Strip(h http.Header) {
	s.stripNames(h)
	if connection, ok := h["Connection"]; ok {
		stripUpgrade(h)
		s.stripConnection(h, connection)
	}
}

func (s *Stripper) stripNames(h http.Header) {
	for name := range h {
		if s.Reserved(name) {
			delete(h, name)
		}
	}
}

// StripRequest removes all reserved headers from a request, including those
// that may still arrive as trailers. It must be called before the body is
// read, and may replace r.Body.
func (s *Stripper) StripRequest(r *http.Request) {
	s.Strip(r.Header)
	s.stripTrailers(r.Trailer)

	// A body of known length is followed by trailers only if they were
	// announced (over HTTP/2 and HTTP/3).
	if r.Body == nil || r.Body == http.NoBody || (r.ContentLength >= 0 && r.Trailer == nil) {
		return
	}
	if _, ok := r.Body.(*trailerStripper); !ok {
		r.Body = &trailerStripper{ReadCloser: r.Body, request: r, stripper: s}
	}
}

// trailerStripper removes reserved trailers in the very Read that reports the
// end of the body. That is when net/http has just filled them in, and when
// reverse_proxy copies them (requestBodyWithTrailers); afterwards would be too
// late.
type trailerStripper struct {
	io.ReadCloser
	request  *http.Request
	stripper *Stripper
}

func (b *trailerStripper) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.stripper.stripTrailers(b.request.Trailer)
	}
	return n, err
}

func (s *Stripper) stripTrailers(h http.Header) {
	for name := range h {
		if s.Reserved(name) || notOurs(Fold(name)) || overrides.Reserved(name) {
			delete(h, name)
		}
	}
}

// stripConnection removes from Connection the names of headers that the gateway
// sets, so that they arrive. Authorization is one of them: it carries the
// phantom token.
func (s *Stripper) stripConnection(h http.Header, values []string) {
	protected := func(token string) bool {
		token = textproto.TrimString(token)
		return s.Reserved(token) || strings.EqualFold(token, "Authorization")
	}
	clean := true
	for _, value := range values {
		for token := range strings.SplitSeq(value, ",") {
			clean = clean && !protected(token)
		}
	}
	if clean {
		return
	}
	var kept []string
	for _, value := range values {
		tokens := slices.DeleteFunc(strings.Split(value, ","), protected)
		if len(tokens) > 0 {
			kept = append(kept, strings.Join(tokens, ","))
		}
	}
	if len(kept) == 0 {
		delete(h, "Connection")
		return
	}
	h["Connection"] = kept
}
