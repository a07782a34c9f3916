// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"encoding/json"
	"errors"
	"strings"
)

// Cursor reads JSON text value by value and knows the offset of each. The text
// must be valid JSON and valid UTF-8, as json.Valid and utf8.Valid decide: a
// Cursor looks for the ends of values, never for errors of syntax, and panics
// where it runs out of text.
//
// A list or an object is read as with json.Decoder:
//
//	c.Open()
//	for c.More() {
//		name, err := c.Name() // in an object only
//		value := c.Skip()     // or Text, or Open and another loop
//	}
//
// Each round must consume one value.
type Cursor struct {
	text string
	pos  int
}

// NewCursor returns a cursor at the beginning of valid JSON text.
func NewCursor(text string) Cursor { return Cursor{text: text} }

// Offset is the position of the cursor, in bytes from the beginning of the
// text.
func (c *Cursor) Offset() int { return c.pos }

// Seek moves the cursor to an offset that Offset has returned.
func (c *Cursor) Seek(offset int) { c.pos = offset }

// Kind moves to the next byte that is not white space and returns it, with '0'
// for every number. At a value this is one of { [ " 0 t f n, and at the end of
// the text 0.
func (c *Cursor) Kind() byte {
	c.space()
	if c.pos == len(c.text) {
		return 0
	}
	if b := c.text[c.pos]; b != '-' && (b < '0' || b > '9') {
		return b
	}
	return '0'
}

// space skips white space. Valid JSON has no other bytes up to the space
// outside of strings.
func (c *Cursor) space() {
	for c.pos < len(c.text) && c.text[c.pos] <= ' ' {
		c.pos++
	}
}

// Open enters the list or the object at the cursor.
func (c *Cursor) Open() {
	c.space()
	c.pos++
}

// More reports whether the list or the object has another element, and moves
// to it. Otherwise it leaves the list or the object.
func (c *Cursor) More() bool {
	c.space()
	if c.text[c.pos] == ',' {
		c.pos++
		c.space()
	}
	if b := c.text[c.pos]; b == '}' || b == ']' {
		c.pos++
		return false
	}
	return true
}

// Name consumes the name of a member and moves to its value. The error is that
// of [Unquote], with a name in which the replacement character marks the fault.
func (c *Cursor) Name() (string, error) {
	name, err := c.Text()
	c.space()
	c.pos++ // the colon
	c.space()
	return name, err
}

// Text consumes a string and returns what [Unquote] returns for it.
func (c *Cursor) Text() (string, error) {
	c.space()
	start := c.pos
	c.skipString()
	return Unquote(c.text[start:c.pos])
}

// Skip consumes one value and returns its text, as it was spelled.
func (c *Cursor) Skip() string {
	c.space()
	start, depth := c.pos, 0
	for {
		switch c.text[c.pos] {
		case '{', '[':
			depth++
			c.pos++
		case '}', ']':
			depth--
			c.pos++
		case '"':
			c.skipString()
		case ' ', '\t', '\r', '\n', ',', ':':
			c.pos++
			continue // between values: cannot end one
		default:
			c.skipScalar()
		}
		if depth == 0 {
			return c.text[start:c.pos]
		}
	}
}

func (c *Cursor) skipString() {
	i := c.pos + 1
	for ; c.text[i] != '"'; i++ {
		if c.text[i] == '\\' {
			i++
		}
	}
	c.pos = i + 1
}

func (c *Cursor) skipScalar() {
	for c.pos < len(c.text) {
		if b := c.text[c.pos]; b == ',' || b == ']' || b == '}' || b <= ' ' {
			return
		}
		c.pos++
	}
}

// replacement is what encoding/json makes of half a surrogate pair.
const replacement = "\ufffd"

// ErrSurrogate says that a string holds half of a surrogate pair, which is not
// a character: "\ud800".
var ErrSurrogate = errors.New("not valid Unicode")

// FindSurrogate returns the offset of the first string of valid JSON, names of
// members included, for which [Unquote] returns [ErrSurrogate]; -1 if there is none.
func FindSurrogate(text string) int {
	c := NewCursor(text)
	for c.pos < len(text) {
		if text[c.pos] != '"' {
			c.pos++
			continue
		}
		start := c.pos
		c.skipString()
		if _, err := Unquote(text[start:c.pos]); err != nil {
			return start
		}
	}
	return -1
}

// Unquote returns the value of a valid JSON string.
//
// Half a surrogate pair is [ErrSurrogate]: decoders replace it, drop it or keep
// it, so that two different strings can become one. So is the character that it
// is replaced by, if it is written as an escape. The text returned with the
// error is that of encoding/json.
func Unquote(quoted string) (string, error) {
	inner := quoted[1 : len(quoted)-1]
	if strings.IndexByte(inner, '\\') < 0 {
		return inner, nil
	}
	var text string
	if err := json.Unmarshal([]byte(quoted), &text); err != nil {
		return "", errors.New("not a valid string")
	}
	if strings.Count(text, replacement) > strings.Count(inner, replacement) {
		return text, ErrSurrogate
	}
	return text, nil
}
