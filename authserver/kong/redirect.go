// SPDX-License-Identifier: Apache-2.0

package kong

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// redirect adds parameters to a redirect URI: to its query, or to its fragment. They replace
// those of the same name that are there.
func redirect(uri string, params map[string]string, inFragment bool) string {
	base, fragment, hasFragment := strings.Cut(uri, "#")
	if inFragment {
		return base + "#" + encode(merged(fragment, params))
	}
	base, query, _ := strings.Cut(base, "?")
	base += "?" + encode(merged(query, params))
	if hasFragment {
		base += "#" + fragment
	}
	return base
}

func merged(query string, params map[string]string) url.Values {
	values, _ := url.ParseQuery(query) // what can be read of it
	for name, value := range params {
		values.Set(name, value)
	}
	return values
}

// encode writes parameters as Kong does: sorted by name, everything but letters, digits and
// the underscore escaped, in lower case, and no equals sign without a value. Applications
// compare such URIs as texts.
func encode(values url.Values) string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	var pairs []string
	for _, name := range names {
		for _, value := range values[name] {
			pair := escape(name)
			if value != "" {
				pair += "=" + escape(value)
			}
			pairs = append(pairs, pair)
		}
	}
	return strings.Join(pairs, "&")
}

func escape(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}
