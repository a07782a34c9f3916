// SPDX-License-Identifier: Apache-2.0

// Package kongpath reads paths as Kong does: the normal form in which they are
// compared, and what a route of Kong may say about them.
package kongpath

import (
	"net/url"
	"strings"
)

// This file brings the path of a request into the form that rules are compared
// with, which is Kong's: every escape is decoded but that of a reserved
// character, whose digits are in upper case; dot segments are resolved and
// repeated slashes merged.
//
//	/%61//b/./c%2fd   becomes   /a/b/c%2Fd

// Of returns the normal form of a request's path. It allocates nothing
// if the path is in that form already.
func Of(u *url.URL) string {
	return Normalize(spelling(u))
}

// spelling returns the path as the client has written it. EscapedPath alone
// does not do: it ignores a RawPath such as "/a%2Fb^" because of its ^.
func spelling(u *url.URL) string {
	if u.RawPath != "" {
		if path, err := url.PathUnescape(u.RawPath); err == nil && path == u.Path {
			return u.RawPath
		}
	}
	return u.EscapedPath()
}

// Normalize brings a path into its normal form. A # or ? in it is data, for the path
// of a URL ends before the first one, and so it becomes an escape.
func Normalize(path string) string {
	if strings.ContainsAny(path, "%#?") {
		path = decodeUnreserved(path)
	}
	if strings.Contains(path, "//") || strings.Contains(path, "/.") {
		path = removeDotSegments(path)
	}
	return path
}

// reserved are the characters of RFC 3986, section 2.2, and the percent sign:
// their escapes are data, and stay.
const reserved = "!*'();:@&=+$,/?%#[]"

func decodeUnreserved(path string) string {
	var b strings.Builder
	b.Grow(len(path))
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '#':
			b.WriteString("%23")
			continue
		case '?':
			b.WriteString("%3F")
			continue
		}
		if path[i] != '%' || i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
			b.WriteByte(path[i])
			continue
		}
		c := unhex(path[i+1])<<4 | unhex(path[i+2])
		if strings.IndexByte(reserved, c) >= 0 {
			b.WriteString(strings.ToUpper(path[i : i+3]))
		} else {
			b.WriteByte(c)
		}
		i += 2
	}
	return b.String()
}

// removeDotSegments resolves "." and ".." (RFC 3986, section 5.2.4) and merges
// slashes.
func removeDotSegments(path string) string {
	if !strings.HasPrefix(path, "/") {
		return path // "*" of OPTIONS
	}
	var kept []string
	segments := strings.Split(path[1:], "/")
	for _, segment := range segments {
		switch segment {
		case "", ".":
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
		default:
			kept = append(kept, segment)
		}
	}
	result := "/" + strings.Join(kept, "/")
	if last := segments[len(segments)-1]; len(kept) > 0 && (last == "" || last == "." || last == "..") {
		result += "/"
	}
	return result
}

// Set makes a normal path the path of a URL, spelled as RFC 3986 asks.
func Set(u *url.URL, normal string) error {
	escaped := Escape(normal)
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return err
	}
	u.Path, u.RawPath = path, ""
	if u.EscapedPath() != escaped {
		u.RawPath = escaped
	}
	return nil
}

// Escape encodes what cannot be literal in a path. The percent sign stays: in a
// normal path it begins an escape.
func Escape(normal string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(normal) {
		c := normal[i]
		if isPathByte(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

func isPathByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("-._~!$&'()*+,;=:@/%[]", c) >= 0
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}
