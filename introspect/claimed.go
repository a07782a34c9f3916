// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
)

// What a token says about itself, unverified. It decides only who is asked about
// it and when again, never what it is worth. So it is read as leniently as any
// server might read it: whoever could make a token look like nothing here and like
// a JWT elsewhere would choose where it is checked.

// claimed is the payload of a token as far as that matters. A member that is there
// twice has all of its values.
type claimed struct {
	issuers []string
	starts  []time.Time // nbf and iat
}

// readClaimed reads the second part of a token, whatever the first and the third
// are. A token that is no JWT has nothing in it.
func readClaimed(raw string) (c claimed) {
	_, rest, ok := strings.Cut(raw, ".")
	if !ok {
		return c
	}
	payload, _, _ := strings.Cut(rest, ".")
	// Members up to an error count: another parser may stop later.
	decoder := json.NewDecoder(bytes.NewReader(decodePart(payload)))
	decoder.UseNumber()
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		return c
	}
	for depth, name := 1, ""; ; {
		each, err := decoder.Token()
		if err != nil {
			return c
		}
		switch value := each.(type) {
		case json.Delim:
			if value == '{' || value == '[' {
				depth++
			} else {
				depth--
			}
			name = ""
		case string:
			if depth == 1 && name == "" {
				name = value
				continue
			}
			if depth == 1 && name == "iss" {
				c.issuers = append(c.issuers, value)
			}
			name = ""
		case json.Number:
			if seconds, err := value.Float64(); depth == 1 && err == nil && (name == "nbf" || name == "iat") && seconds > 0 && seconds < 1<<40 {
				c.starts = append(c.starts, time.UnixMilli(int64(seconds*1000)))
			}
			name = ""
		default:
			name = ""
		}
		if depth == 0 {
			return c
		}
	}
}

// decodePart decodes base64 in both alphabets, with padding or without, up to the
// first character that is neither.
func decodePart(part string) []byte {
	part = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(part, "="))
	decoded := make([]byte, base64.RawURLEncoding.DecodedLen(len(part)))
	n, _ := base64.RawURLEncoding.Decode(decoded, []byte(part))
	return decoded[:n]
}

// validAgain returns when a token that is called inactive now may become valid
// because its time begins, zero if none does. The server may have a leeway as this
// gateway has, or none.
func (c claimed) validAgain(now time.Time) (at time.Time) {
	for _, start := range c.starts {
		for _, moment := range []time.Time{start.Add(-jwtcheck.Leeway), start} {
			if moment.After(now) && (at.IsZero() || moment.Before(at)) {
				at = moment
			}
		}
	}
	return at
}
