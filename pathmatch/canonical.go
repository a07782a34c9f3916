// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// This file normalizes the path of a request to the canonical form that
// decisions are made on, and makes the upstream receive exactly that form.
//
// The input is the spelling of the path: RawPath wherever it spells Path, else
// the encoding of Path. Path alone cannot tell "/a%2Fb" from "/a/b", and
// [url.URL.EscapedPath] ignores a RawPath such as "/a%2Fb^" because of its ^. It
// is decoded once, and refused if two programs could disagree about its meaning:
//
//	/public/..%2fadmin   one element for some, three for others
//	/public/..;/admin    "..;" for some, ".." with an empty parameter for others
//
// The upstream receives the client's spelling as far as all programs agree that
// another one means the same (RFC 3986, sections 2.2 and 6.2.2): repeated slashes
// are merged, unreserved characters are decoded, and hexadecimal digits are in
// upper case. The escape of a reserved character is data, and stays: an object
// store reads "+" as a space and "%2B" as a plus. If the result differs from what
// would be sent, [Path.Apply] puts it into the URL: "/%61dmin" reaches the
// upstream as "/admin".

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
	EncodedSlash               // %2f, or one that cannot be kept
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

// Options say how paths are read. The zero value is the strictest.
type Options struct {
	// AllowAmbiguous gives a path that can be read in two ways the most cautious
	// reading instead of refusing it.
	AllowAmbiguous bool
	// KeepEncodedSlashes makes %2F a character within its element, as GitLab and
	// the npm registry use it.
	KeepEncodedSlashes bool
}

// KeptSlash stands in [Path.Decoded] for an encoded slash that is part of its
// element. No canonical path contains this character otherwise. Patterns match it
// as the slash that it is, and captures contain a slash.
const KeptSlash = '\x00'

// Path is a canonical path.
type Path struct {
	// Decoded is what decisions are made on: percent-decoded once, with a
	// leading slash, without repeated slashes and without dot segments. A kept
	// slash is KeptSlash.
	Decoded string
	// Escaped is the form for the upstream. Characters that RFC 3986 allows in a
	// path are literal unless the client escaped a reserved one, and all others
	// are %XX in upper case. It is empty if the URL already has this form.
	Escaped string
}

// Apply sets the path of u to the canonical one: u.EscapedPath, and with it
// u.RequestURI, then return p.Escaped. It does nothing if p.Escaped is empty.
func (p Path) Apply(u *url.URL) {
	if p.Escaped == "" {
		return
	}
	u.Path, u.RawPath = withSlashes(p.Decoded), ""
	// RawPath overrides the encoding of net/url, which escapes !'()* although
	// RFC 3986 does not, and which knows nothing of escapes to keep.
	if u.EscapedPath() != p.Escaped {
		u.RawPath = p.Escaped
	}
}

// withSlashes returns a decoded path or element with its kept slashes as slashes.
func withSlashes(s string) string {
	if strings.IndexByte(s, KeptSlash) < 0 {
		return s
	}
	return strings.ReplaceAll(s, string(KeptSlash), "/")
}

// Canonicalize returns the canonical form of the path that u would send
// upstream. An empty path, as in "http://host" or after a prefix has been
// stripped, is "/".
//
// A path that can be read in two ways is refused with an [*AmbiguousError].
// With AllowAmbiguous the most cautious reading is used instead: encoded slashes
// and backslashes separate elements, dot segments are resolved, and parameters,
// NUL characters and invalid UTF-8 are removed. An escaped semicolon stays
// escaped. The upstream receives the result.
//
// With KeepEncodedSlashes an encoded slash is part of its element. It is refused
// where a program that decodes it too early would see a dot segment or an empty
// element, also with AllowAmbiguous.
//
// Paths beyond the limits are always refused, with [ErrTooLong] or
// [ErrTooManyElements]. Ordinary paths do not allocate.
func Canonicalize(u *url.URL, opts Options) (Path, error) {
	if isCanonical(u) {
		return Path{Decoded: u.Path}, nil
	}
	return canonicalize(u, opts)
}

func canonicalize(u *url.URL, opts Options) (Path, error) {
	if u.Opaque != "" {
		// RequestURI would send Opaque and ignore the path.
		return Path{}, &AmbiguousError{Kind: NotAbsolute}
	}
	spelling := u.RawPath
	current := u.EscapedPath()
	if spelling == "" || !spells(spelling, u.Path) {
		spelling = current
	}
	if spelling == "" {
		if u.Host != "" && u.Scheme == "" {
			// The target of CONNECT: net/http parses host:port and leaves no scheme.
			return Path{}, &AmbiguousError{Kind: NotAbsolute}
		}
		return Path{Decoded: "/", Escaped: "/"}, nil
	}
	if len(spelling) > MaxPathLength {
		return Path{}, ErrTooLong
	}
	if spelling[0] != '/' {
		return Path{}, &AmbiguousError{Kind: NotAbsolute}
	}
	p, err := read(spelling, u.Path, opts)
	if err != nil {
		return Path{}, err
	}
	// A RawPath that EscapedPath ignores is replaced too, because other handlers
	// may read it directly.
	if p.Escaped == current && (u.RawPath == "" || u.RawPath == current) {
		p.Escaped = ""
	}
	return p, nil
}

// spells reports whether raw, decoded, is path. It is what
// [url.URL.EscapedPath] requires of a RawPath, except that this one may contain
// characters that should have been escaped.
func spells(raw, path string) bool {
	for raw != "" {
		c, width := nextByte(raw)
		if width == 0 || path == "" || path[0] != c {
			return false
		}
		raw, path = raw[width:], path[1:]
	}
	return path == ""
}

// Classes of bytes in a path.
const (
	// literal bytes are not escaped in a canonical path: the pchar of RFC 3986
	// section 3.3, without the percent sign.
	literal = 1 << iota
	// plain bytes are the literal ones that [url.URL.EscapedPath] never escapes
	// and that never make a path ambiguous.
	plain
	// unreserved bytes mean the same whether or not they are escaped: RFC 3986
	// section 2.3.
	unreserved
)

var classes = func() (t [256]uint8) {
	for c := range t {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			strings.IndexByte("-._~", byte(c)) >= 0:
			t[c] = literal | plain | unreserved
		case strings.IndexByte("$&+,=:@", byte(c)) >= 0:
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
