// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// This file normalizes the path of a request to the canonical form that
// decisions are made on, and makes the upstream receive exactly that form.
//
// The input is the path as it would be sent, [url.URL.EscapedPath]: Path alone
// cannot tell "/a%2Fb" from "/a/b", and RawPath may be stale after a handler
// changed the path. It is decoded once, and refused if two programs could
// disagree about its meaning:
//
//	/public/..%2fadmin   one element for some, three for others
//	/public/..;/admin    "..;" for some, ".." with an empty parameter for others
//
// The decoded path is then encoded again in the normal form of RFC 3986 section
// 6.2.2. If that differs from what would be sent, [Path.Apply] puts it into the
// URL: "/%61dmin" reaches the upstream as "/admin".

// Limits on the path of a request. They hold whether or not ambiguous paths
// are allowed.
const (
	// MaxPathLength is the greatest length, in bytes, of a path as it would be
	// sent. RFC 9110 section 4.1 requires at least 8000.
	MaxPathLength = 16 << 10
	// MaxElements is the greatest number of elements of a canonical path.
	MaxElements = 512
)

var (
	// ErrTooLong says that a path exceeds MaxPathLength (status 414).
	ErrTooLong = fmt.Errorf("the path is longer than %d bytes", MaxPathLength)
	// ErrTooManyElements says that a path exceeds MaxElements (status 400).
	ErrTooManyElements = fmt.Errorf("the path has more than %d elements", MaxElements)
)

// Ambiguity says why a path can be read in two ways.
type Ambiguity int

// The ways in which a path can be ambiguous.
const (
	// NotAbsolute is a request target without a path: "*", the "host:port" of
	// CONNECT, or "scheme:rootless". It is refused even if ambiguous paths are
	// allowed, because there is no path to decide on.
	NotAbsolute      Ambiguity = iota + 1
	EncodedSlash               // %2f
	Backslash                  // \ or %5c: a slash for Windows
	ControlCharacter           // C0, DEL or C1, raw or encoded
	DotSegment                 // . or .., raw or encoded
	PathParameter              // ; or %3b: servlet containers cut the element there
	InvalidEscape              // a % without two hexadecimal digits
	InvalidUTF8                // bytes that some decoders replace or read as something else
)

var ambiguities = [...]string{
	NotAbsolute:      "not an absolute path",
	EncodedSlash:     "encoded slash",
	Backslash:        "backslash",
	ControlCharacter: "control character",
	DotSegment:       "dot segment",
	PathParameter:    "path parameter",
	InvalidEscape:    "invalid percent-encoding",
	InvalidUTF8:      "invalid UTF-8",
}

func (a Ambiguity) String() string {
	if a <= 0 || int(a) >= len(ambiguities) {
		return fmt.Sprintf("Ambiguity(%d)", int(a))
	}
	return ambiguities[a]
}

// AmbiguousError is returned for a path that can be read in two ways
// (status 400).
type AmbiguousError struct {
	Kind   Ambiguity
	Offset int // in bytes, into the path as it would be sent
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("ambiguous path: %s at offset %d", e.Kind, e.Offset)
}

// IsAmbiguous reports whether err is or wraps an [AmbiguousError].
func IsAmbiguous(err error) bool {
	_, ok := errors.AsType[*AmbiguousError](err)
	return ok
}

// Path is a canonical path.
type Path struct {
	// Decoded is what decisions are made on: percent-decoded once, with a
	// leading slash, without repeated slashes and without dot segments.
	Decoded string
	// Escaped is the form for the upstream: characters that RFC 3986 allows in a
	// path are literal, and all others are %XX in upper case. It is empty if
	// the URL already has this form.
	Escaped string
}

// Apply sets the path of u to the canonical one: u.EscapedPath, and with it
// u.RequestURI, then return p.Escaped. It does nothing if p.Escaped is empty.
func (p Path) Apply(u *url.URL) {
	if p.Escaped == "" {
		return
	}
	u.Path, u.RawPath = p.Decoded, ""
	// RawPath overrides the encoding of net/url, which escapes !'()* although
	// RFC 3986 does not.
	if u.EscapedPath() != p.Escaped {
		u.RawPath = p.Escaped
	}
}

// Canonicalize returns the canonical form of the path that u would send
// upstream. An empty path, as in "http://host" or after a prefix has been
// stripped, is "/".
//
// A path that can be read in two ways is refused with an [*AmbiguousError].
// With allowAmbiguous the most cautious reading is used instead: encoded slashes
// and backslashes separate elements, dot segments are resolved (also with a
// parameter, as in "..;x"), and the upstream receives the result. Paths beyond
// the limits are always refused, with [ErrTooLong] or [ErrTooManyElements].
//
// Ordinary paths do not allocate.
func Canonicalize(u *url.URL, allowAmbiguous bool) (Path, error) {
	if isCanonical(u) {
		return Path{Decoded: u.Path}, nil
	}
	return canonicalize(u, allowAmbiguous)
}

func canonicalize(u *url.URL, allowAmbiguous bool) (Path, error) {
	if u.Opaque != "" {
		// RequestURI would send Opaque and ignore the path.
		return Path{}, &AmbiguousError{Kind: NotAbsolute}
	}
	sent := u.EscapedPath()
	if sent == "" {
		if u.Host != "" && u.Scheme == "" {
			// The target of CONNECT: net/http parses host:port and leaves no scheme.
			return Path{}, &AmbiguousError{Kind: NotAbsolute}
		}
		return Path{Decoded: "/", Escaped: "/"}, nil
	}
	if len(sent) > MaxPathLength {
		return Path{}, ErrTooLong
	}
	if sent[0] != '/' {
		return Path{}, &AmbiguousError{Kind: NotAbsolute}
	}

	buf, err := decode(sent, allowAmbiguous)
	if err != nil {
		return Path{}, err
	}
	buf = cleanElements(buf, allowAmbiguous)
	p := Path{Decoded: string(buf)}
	if strings.Count(p.Decoded, "/") > MaxElements {
		return Path{}, ErrTooManyElements
	}
	escaped := escape(p.Decoded)
	// A RawPath that EscapedPath ignores is replaced too, because other handlers
	// may read it directly.
	if escaped != sent || u.RawPath != "" && u.RawPath != sent {
		p.Escaped = escaped
	}
	return p, nil
}

// Classes of bytes in a path.
const (
	// literal bytes are not escaped in a canonical path: the pchar of RFC 3986
	// section 3.3, without the percent sign.
	literal = 1 << iota
	// plain bytes are the literal ones that [url.URL.EscapedPath] never escapes
	// and that never make a path ambiguous.
	plain
)

var classes = func() (t [256]uint8) {
	for c := range t {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			strings.IndexByte("-._~$&+,=:@", byte(c)) >= 0:
			t[c] = literal | plain
		case strings.IndexByte("!'()*;", byte(c)) >= 0:
			t[c] = literal
		}
	}
	return t
}()

// isCanonical is the fast path: it reports whether u is obviously canonical, as
// most paths are.
func isCanonical(u *url.URL) bool {
	path := u.Path
	if path == "" || path[0] != '/' || len(path) > MaxPathLength || u.RawPath != "" || u.Opaque != "" {
		return false
	}
	elements := 0
	previous := byte(0)
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c == '/':
			if previous == '/' {
				return false
			}
			elements++
		case classes[c]&plain == 0:
			return false
		case c == '.' && previous == '/' && startsWithDotSegment(path[i:]):
			return false
		}
		previous = c
	}
	return elements <= MaxElements
}

func startsWithDotSegment(path string) bool {
	element, _, _ := strings.Cut(path, "/")
	return element == "." || element == ".."
}

// decode decodes sent once. It refuses ambiguous paths unless they are allowed,
// in which case it writes all separators as slashes.
func decode(sent string, allowAmbiguous bool) ([]byte, error) {
	buf := make([]byte, 0, len(sent))
	element := 0 // where the current element begins in buf
	offset := 0  // and in sent
	refuse := func(kind Ambiguity, offset int) ([]byte, error) {
		return nil, &AmbiguousError{Kind: kind, Offset: offset}
	}
	for i := 0; i < len(sent); {
		c, width := nextByte(sent[i:])
		if width == 0 {
			return refuse(InvalidEscape, i)
		}
		if allowAmbiguous {
			if c == '\\' {
				c = '/'
			}
			buf = append(buf, c)
			i += width
			continue
		}
		switch {
		case c == '/' && width > 1:
			return refuse(EncodedSlash, i)
		case c == '/':
			if isDotSegment(buf[element:]) {
				return refuse(DotSegment, offset)
			}
			element, offset = len(buf)+1, i+1
		case c == '\\':
			return refuse(Backslash, i)
		case c == ';':
			return refuse(PathParameter, i)
		case c < ' ' || c == 0x7f:
			return refuse(ControlCharacter, i)
		case c >= utf8.RuneSelf:
			char, n, kind := nextRune(sent[i:])
			if kind != 0 {
				return refuse(kind, i)
			}
			buf = utf8.AppendRune(buf, char)
			i += n
			continue
		}
		buf = append(buf, c)
		i += width
	}
	if !allowAmbiguous && isDotSegment(buf[element:]) {
		return refuse(DotSegment, offset)
	}
	return buf, nil
}

// nextByte returns the first byte of s, decoded, and how many bytes of s encode
// it: 0 if the escape is invalid.
func nextByte(s string) (c byte, width int) {
	if s[0] != '%' {
		return s[0], 1
	}
	if len(s) < 3 {
		return 0, 0
	}
	high, low := unhex(s[1]), unhex(s[2])
	if high > 15 || low > 15 {
		return 0, 0
	}
	return high<<4 | low, 3
}

// nextRune returns the first character of s, which is not ASCII, and how many
// bytes of s encode it.
func nextRune(s string) (r rune, width int, kind Ambiguity) {
	var encoded [utf8.UTFMax]byte
	var ends [utf8.UTFMax]int // ends[i] is where the encoding of encoded[i] ends in s
	n, end := 0, 0
	for n < len(encoded) && end < len(s) {
		c, w := nextByte(s[end:])
		if w == 0 {
			break
		}
		end += w
		encoded[n], ends[n] = c, end
		n++
	}
	r, size := utf8.DecodeRune(encoded[:n])
	if r == utf8.RuneError && size <= 1 {
		return 0, 0, InvalidUTF8
	}
	if r < 0xa0 {
		return 0, 0, ControlCharacter
	}
	return r, ends[size-1], 0
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

func isDotSegment(element []byte) bool {
	return string(element) == "." || string(element) == ".."
}

// cleanElements merges slashes in place and, on request, resolves dot segments.
// Slashes are merged first, as in nginx: "/a//../b" is "/b".
func cleanElements(path []byte, resolveDots bool) []byte {
	out := path[:0]
	for i := 0; i < len(path); {
		for i < len(path) && path[i] == '/' {
			i++
		}
		start := i
		for i < len(path) && path[i] != '/' {
			i++
		}
		// out never overtakes the element: it is at most as long as the part of
		// path that has been read.
		element := path[start:i]
		name := element
		if semicolon := bytes.IndexByte(element, ';'); semicolon >= 0 {
			name = element[:semicolon] // "..;x" is ".." for a servlet container
		}
		switch {
		case !resolveDots || !isDotSegment(name):
			out = append(out, '/')
			out = append(out, element...)
			continue
		case len(name) == 2:
			for len(out) > 0 && out[len(out)-1] != '/' {
				out = out[:len(out)-1]
			}
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		}
		if i == len(path) {
			out = append(out, '/') // a dot segment at the end names a directory
		}
	}
	return out
}

const upperHex = "0123456789ABCDEF"

// escape returns the canonical encoding of a decoded path.
func escape(decoded string) string {
	n := 0
	for i := 0; i < len(decoded); i++ {
		if classes[decoded[i]]&literal == 0 && decoded[i] != '/' {
			n++
		}
	}
	if n == 0 {
		return decoded
	}
	buf := make([]byte, 0, len(decoded)+2*n)
	for i := 0; i < len(decoded); i++ {
		c := decoded[i]
		if classes[c]&literal != 0 || c == '/' {
			buf = append(buf, c)
		} else {
			buf = append(buf, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(buf)
}
