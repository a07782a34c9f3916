// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/jwtcheck"
	"github.com/caddy-gluu/gateway/internal/strictjson"
	"github.com/caddy-gluu/gateway/jose"
)

// What a token says about itself, unverified. It decides only who is asked about
// it and when again, never what it is worth. So it is read as leniently as any
// server might read it: a client that could make a token look like nothing here and like
// a JWT elsewhere would choose where it is checked.

// claimed is the payload of a token as far as that matters. A member that is there
// twice has all of its values.
type claimed struct {
	issuers []string
	starts  []time.Time // nbf and iat
}

// claimedIn is what the claims of a well-formed JWT say, ok false if they can be
// read in another way than that.
func claimedIn(claims jose.Object) (c claimed, ok bool) {
	if issuer, there := claims.Get("iss"); there && issuer.IsText() {
		text, err := issuer.Text()
		if err != nil {
			return claimed{}, false
		}
		c.issuers = []string{text}
	}
	for _, name := range []string{"nbf", "iat"} {
		if start, there := claims.Get(name); there {
			c.addStart(start.JSON())
		}
	}
	return c, true
}

// readClaimed reads the second part of a token, whatever the first and the third
// are. The result is empty for a token that is not a JWT.
func readClaimed(raw string) (c claimed) {
	_, rest, ok := strings.Cut(raw, ".")
	if !ok {
		return c
	}
	payload, _, _ := strings.Cut(rest, ".")
	text := decodePart(payload)
	if json.Valid(text) {
		c.read(string(text))
	} else {
		c.readUpToError(text)
	}
	return c
}

// ClaimedIssuers returns the issuers that a token names, unverified: none for a token
// that is not a JWT.
func ClaimedIssuers(raw string) []string { return readClaimed(raw).issuers }

// read reads a payload that is valid JSON.
func (c *claimed) read(text string) {
	cursor := strictjson.NewCursor(text)
	if cursor.Kind() != '{' {
		return
	}
	for cursor.Open(); cursor.More(); {
		// A name or issuer with half a surrogate pair is read as others read it.
		name, _ := cursor.Name()
		switch kind := cursor.Kind(); {
		case name == "iss" && kind == '"':
			issuer, _ := cursor.Text()
			c.issuers = append(c.issuers, issuer)
		case name == "nbf" || name == "iat":
			c.addStart(cursor.Skip())
		default:
			cursor.Skip()
		}
	}
}

// addStart notes when a token begins to be valid, if the text is a time.
func (c *claimed) addStart(number string) {
	seconds, err := strconv.ParseFloat(number, 64)
	if err == nil && seconds > 0 && seconds < 1<<40 {
		c.starts = append(c.starts, time.UnixMilli(int64(seconds*1000)))
	}
}

// mostTokens is how many tokens of JSON are read of a payload with an error in it.
// No server means to issue one, so that it may cost little.
const mostTokens = 500

// readUpToError reads the members before an error: another parser may stop later.
func (c *claimed) readUpToError(text []byte) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		return
	}
	depth, name, isName := 1, "", true
	for read := 0; depth > 0 && read < mostTokens; read++ {
		each, err := decoder.Token()
		if err != nil {
			return
		}
		if text, ok := each.(string); ok && depth == 1 && isName {
			name, isName = text, false
			continue
		}
		switch value := each.(type) {
		case json.Delim:
			if value == '{' || value == '[' {
				depth++
			} else {
				depth--
			}
		case string:
			if depth == 1 && name == "iss" {
				c.issuers = append(c.issuers, value)
			}
		case json.Number:
			if depth == 1 && (name == "nbf" || name == "iat") {
				c.addStart(value.String())
			}
		}
		isName = depth == 1 // the value, or the list or object that it was, is over
	}
}

// decodePart decodes base64 in both alphabets, with padding or without, up to the
// first character that is neither.
func decodePart(part string) []byte {
	part = strings.TrimRight(part, "=")
	if strings.ContainsAny(part, "+/") {
		part = urlAlphabet.Replace(part)
	}
	decoded := make([]byte, base64.RawURLEncoding.DecodedLen(len(part)))
	n, _ := base64.RawURLEncoding.Decode(decoded, []byte(part))
	return decoded[:n]
}

var urlAlphabet = strings.NewReplacer("+", "-", "/", "_")

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
