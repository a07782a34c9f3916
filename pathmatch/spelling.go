// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// A reading is a path while it is decoded and spelled anew, element by element.
// Both buffers always hold the same elements.
type reading struct {
	Options
	sent string // the spelling of the client

	decoded []byte
	escaped []byte
}

// read decodes a path once and spells it canonically. Where that is the path that
// net/http has decoded, it is that string.
func read(sent, path string, opts Options) (Path, error) {
	both := make([]byte, 0, 4*len(sent))
	r := reading{Options: opts, sent: sent, decoded: both[:0:len(sent)], escaped: both[len(sent):len(sent)]}
	for i := 0; i < len(sent); {
		// At a separator.
		_, width := nextByte(sent[i:])
		next, err := r.element(i + width)
		if err != nil {
			return Path{}, err
		}
		i = next
	}
	p := Path{Decoded: either(path, r.decoded), Escaped: either(sent, r.escaped)}
	switch {
	case len(p.Escaped) > MaxPathLength:
		return Path{}, ErrTooLong
	case strings.Count(p.Decoded, "/") > MaxElements:
		return Path{}, ErrTooManyElements
	}
	return p, nil
}

// either returns text as a string, which is the known one if they are equal: most of
// the time nothing has changed, and nothing is copied.
func either(known string, text []byte) string {
	if string(text) == known {
		return known
	}
	return string(text)
}

// element reads the element that begins at start, and returns where it ends: at a
// separator, or at the end.
func (r *reading) element(start int) (end int, err error) {
	decodedAt, escapedAt := len(r.decoded), len(r.escaped)
	r.decoded, r.escaped = append(r.decoded, '/'), append(r.escaped, '/')
	if r.AllowAmbiguous {
		end, err = r.cautious(start)
	} else {
		end, err = r.strict(start)
	}
	if err != nil {
		return 0, err
	}
	element, last := r.decoded[decodedAt+1:], end == len(r.sent)
	switch {
	case isKept(element) && !mayBeKept(element):
		return 0, &AmbiguousError{Kind: EncodedSlash, Offset: start}
	case len(element) == 0 && !last: // repeated slashes
		r.truncate(decodedAt, escapedAt)
	case isDotSegment(element) && !r.AllowAmbiguous:
		return 0, &AmbiguousError{Kind: DotSegment, Offset: start}
	case isDotSegment(element):
		// Slashes have been merged before, as in nginx: "/a//../b" is "/b".
		r.resolve(decodedAt, escapedAt, len(withoutParameter(element)), last)
	}
	return end, nil
}

// strict reads an element and refuses what can be read in two ways.
func (r *reading) strict(start int) (end int, err error) {
	i := start
	for {
		i = r.copyPlain(i)
		if i == len(r.sent) || r.sent[i] == '/' {
			return i, nil
		}
		c, width := nextByte(r.sent[i:])
		kind := Ambiguity(0)
		switch {
		case width == 0:
			kind = InvalidEscape
		case c == '/' && r.KeepEncodedSlashes:
			r.keepSlash()
			i += width
			continue
		case c == '/':
			kind = EncodedSlash
		case c == '\\':
			kind = Backslash
		case c == ';':
			kind = PathParameter
		case c < ' ' || c == 0x7f:
			kind = ControlCharacter
		case c >= utf8.RuneSelf:
			var char rune
			var valid bool
			if char, width, valid = nextRune(r.sent[i:]); !valid {
				kind = InvalidUTF8
			} else if char < 0xa0 {
				kind = ControlCharacter
			}
		}
		if kind != 0 {
			return 0, &AmbiguousError{Kind: kind, Offset: i}
		}
		r.copy(i, i+width)
		i += width
	}
}

// cautious reads an element and leaves out what some programs do not see.
func (r *reading) cautious(start int) (end int, err error) {
	parameter := false
	for i := start; i < len(r.sent); {
		c, width := nextByte(r.sent[i:])
		switch {
		case width == 0:
			return 0, &AmbiguousError{Kind: InvalidEscape, Offset: i}
		case c == '/' && width == 1, c == '/' && !r.KeepEncodedSlashes, c == '\\':
			return i, nil
		case c == ';' && width == 1:
			parameter = true
		case parameter, c == 0:
		case c == '/':
			r.keepSlash()
		case c < utf8.RuneSelf:
			r.copy(i, i+width)
		default:
			var valid bool
			if _, width, valid = nextRune(r.sent[i:]); valid {
				r.copy(i, i+width)
			}
		}
		i += width
	}
	return len(r.sent), nil
}

// copyPlain appends the plain bytes that begin at start, most of a path, as they are,
// and returns where they end.
func (r *reading) copyPlain(start int) (end int) {
	for end = start; end < len(r.sent) && classes[r.sent[end]]&plain != 0; {
		end++
	}
	if end > start {
		r.decoded, r.escaped = append(r.decoded, r.sent[start:end]...), append(r.escaped, r.sent[start:end]...)
	}
	return end
}

// copy appends a part of what was sent, in its canonical spelling.
func (r *reading) copy(start, end int) {
	for i := start; i < end; {
		c, width := nextByte(r.sent[i:])
		r.decoded = append(r.decoded, c)
		class := classes[c]
		if class&unreserved != 0 || class&literal != 0 && width == 1 {
			r.escaped = append(r.escaped, c)
		} else {
			r.escaped = append(r.escaped, '%', upperHex[c>>4], upperHex[c&15])
		}
		i += width
	}
}

func (r *reading) keepSlash() {
	r.decoded, r.escaped = append(r.decoded, KeptSlash), append(r.escaped, "%2F"...)
}

func (r *reading) truncate(decodedAt, escapedAt int) {
	r.decoded, r.escaped = r.decoded[:decodedAt], r.escaped[:escapedAt]
}

// resolve removes a dot segment of so many dots, and with two of them the element
// before it. A dot segment at the end names a directory.
func (r *reading) resolve(decodedAt, escapedAt, dots int, last bool) {
	r.truncate(decodedAt, escapedAt)
	if dots == 2 && len(r.decoded) > 0 {
		r.truncate(bytes.LastIndexByte(r.decoded, '/'), bytes.LastIndexByte(r.escaped, '/'))
	}
	if last {
		r.decoded, r.escaped = append(r.decoded, '/'), append(r.escaped, '/')
	}
}

// isKept reports whether an element contains a kept slash.
func isKept(element []byte) bool { return bytes.IndexByte(element, KeptSlash) >= 0 }

// mayBeKept reports whether the slashes in an element can be kept: a program that
// takes them for separators must find neither an empty element nor a dot segment.
func mayBeKept(element []byte) bool {
	for part := range bytes.SplitSeq(element, []byte{KeptSlash}) {
		if len(withoutParameter(part)) == 0 || isDotSegment(part) {
			return false
		}
	}
	return true
}

// isDotSegment reports whether an element is a dot segment, also with a
// parameter: "..;x" is ".." for a servlet container.
func isDotSegment(element []byte) bool {
	name := withoutParameter(element)
	return string(name) == "." || string(name) == ".."
}

func withoutParameter(element []byte) []byte {
	name, _, _ := bytes.Cut(element, []byte{';'})
	return name
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
// bytes of s encode it. If it is not valid UTF-8, width is that of one byte.
func nextRune(s string) (r rune, width int, valid bool) {
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
	return r, ends[size-1], r != utf8.RuneError || size > 1
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

const upperHex = "0123456789ABCDEF"
