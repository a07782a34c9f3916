// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Object is a JSON object that can be read in one way only: no object in it
// has two members of one name, it is valid UTF-8, and neither deep nor wide
// beyond reason.
//
// encoding/json is not enough for what two parties must read alike. It takes
// the last of two members of one name where others take the first, and fills
// a field "iss" from a member "ISS". RFC 7515 section 5.2 and RFC 7519
// section 4 let a recipient refuse such objects; this one does.
type Object struct {
	members []member
}

type member struct {
	name  string
	value Value
}

// Value is one JSON value of an [Object], as it was spelled.
type Value struct {
	raw string
}

const (
	maxDepth   = 32   // of objects and arrays within each other
	maxMembers = 1000 // of one object
)

var errNotObject = errors.New("not a JSON object")

// ParseObject reads one JSON object. How large it may be is for the caller to
// say: it costs time and memory in proportion to its size.
func ParseObject(data []byte) (Object, error) {
	if !json.Valid(data) || !utf8.Valid(data) {
		return Object{}, errors.New("not valid JSON")
	}
	w := walker{text: string(data)}
	start := w.space(0)
	if w.text[start] != '{' {
		return Object{}, errNotObject
	}
	w.value(start, 0)
	if w.err != nil {
		return Object{}, w.err
	}
	return Object{w.members}, nil
}

// Get returns the member of this name, compared exactly, and whether there is
// one.
func (o Object) Get(name string) (Value, bool) {
	for i := range o.members {
		if o.members[i].name == name {
			return o.members[i].value, true
		}
	}
	return Value{}, false
}

// Has reports whether there is a member of this name, whatever its value.
func (o Object) Has(name string) bool {
	_, ok := o.Get(name)
	return ok
}

// Text returns the string member of this name, and an error if it is anything
// but a string. A member that is null is as good as none, "": many servers
// write all members that they know of.
func (o Object) Text(name string) (string, error) {
	v, ok := o.Get(name)
	if !ok || v.IsNull() {
		return "", nil
	}
	s, err := v.Text()
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// Time returns the NumericDate member of this name, and the zero time if there
// is no such member or it is null.
func (o Object) Time(name string) (time.Time, error) {
	v, ok := o.Get(name)
	if !ok || v.IsNull() {
		return time.Time{}, nil
	}
	t, err := v.Time()
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// JSON returns the value as it was spelled.
func (v Value) JSON() string { return v.raw }

// IsNull reports whether the value is null.
func (v Value) IsNull() bool { return v.raw == "null" }

// IsText reports whether the value is a JSON string.
func (v Value) IsText() bool { return strings.HasPrefix(v.raw, `"`) }

// IsList reports whether the value is a JSON array.
func (v Value) IsList() bool { return strings.HasPrefix(v.raw, "[") }

// Text returns the value of a JSON string.
func (v Value) Text() (string, error) {
	if !v.IsText() {
		return "", errors.New("not a string")
	}
	return unquote(v.raw)
}

// Texts returns the elements of a JSON array of strings.
func (v Value) Texts() ([]string, error) {
	elements, err := v.Elements()
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(elements))
	for i, element := range elements {
		if texts[i], err = element.Text(); err != nil {
			return nil, fmt.Errorf("an element is %w", err)
		}
	}
	return texts, nil
}

// Elements returns the elements of a JSON array.
func (v Value) Elements() ([]Value, error) {
	if !v.IsList() {
		return nil, errors.New("not a list")
	}
	w := walker{text: v.raw}
	var elements []Value
	for i := w.space(1); v.raw[i] != ']'; {
		end := w.value(i, 1)
		if w.err != nil {
			return nil, w.err
		}
		elements = append(elements, Value{v.raw[i:end]})
		if i = w.space(end); v.raw[i] == ',' {
			i = w.space(i + 1)
		}
	}
	return elements, nil
}

// Object returns the value of a JSON object.
func (v Value) Object() (Object, error) {
	if !strings.HasPrefix(v.raw, "{") {
		return Object{}, errNotObject
	}
	return ParseObject([]byte(v.raw))
}

// lastDate is the end of the year 9999, the last that RFC 3339 and time.Time's
// JSON form can write.
const lastDate = 253402300799

// Time returns the time of a NumericDate (RFC 7519 section 2): seconds since
// the epoch, perhaps with a fraction. A string, a negative number and one
// beyond the year 9999 are errors, not dates: an overflow would turn a date
// of the far future into one of the past, or the reverse.
func (v Value) Time() (time.Time, error) {
	if seconds, err := strconv.ParseInt(v.raw, 10, 64); err == nil {
		if seconds < 0 || seconds > lastDate {
			return time.Time{}, errors.New("not a date between 1970 and 9999")
		}
		return time.Unix(seconds, 0), nil
	}
	// The first byte tells a JSON number from "NaN", "Infinity" or a string of
	// digits, some of which ParseFloat would take.
	if v.raw == "" || v.raw[0] < '0' || v.raw[0] > '9' {
		return time.Time{}, errors.New("not a number of seconds")
	}
	seconds, err := strconv.ParseFloat(v.raw, 64)
	if err != nil || !(seconds >= 0 && seconds <= lastDate) {
		return time.Time{}, errors.New("not a date between 1970 and 9999")
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}

// unquote returns the value of a JSON string known to be valid. Half a
// surrogate pair, which decoders replace, drop or keep as they like, is an
// error: two different strings would become one.
func unquote(quoted string) (string, error) {
	inner := quoted[1 : len(quoted)-1]
	if strings.IndexByte(inner, '\\') < 0 {
		return inner, nil
	}
	var text string
	if err := json.Unmarshal([]byte(quoted), &text); err != nil {
		return "", errors.New("not a valid string")
	}
	if strings.ContainsRune(text, utf8.RuneError) && !strings.ContainsRune(inner, utf8.RuneError) {
		return "", errors.New("not valid Unicode")
	}
	return text, nil
}

// walker goes over JSON text that json.Valid has accepted, so it looks for
// ends and never for errors of syntax. It keeps the members of the outermost
// object, and of the others only the names, while it is inside them.
type walker struct {
	text    string
	members []member
	names   []string // of the objects around the current position, innermost last
	err     error
}

// space returns the position of the first byte at or after i that is no white
// space.
func (w *walker) space(i int) int {
	for i < len(w.text) {
		switch w.text[i] {
		case ' ', '\t', '\r', '\n':
			i++
		default:
			return i
		}
	}
	return i
}

// value returns the position after the value that begins at i; it means
// nothing once there is an error.
func (w *walker) value(i, depth int) int {
	if depth > maxDepth {
		w.err = errors.New("JSON nested too deeply")
		return i
	}
	switch w.text[i] {
	case '{':
		return w.object(i, depth)
	case '[':
		return w.array(i, depth)
	case '"':
		return w.str(i)
	}
	for i < len(w.text) && strings.IndexByte(",]} \t\r\n", w.text[i]) < 0 {
		i++
	}
	return i
}

func (w *walker) str(i int) int {
	for i++; w.text[i] != '"'; i++ {
		if w.text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func (w *walker) array(i, depth int) int {
	i = w.space(i + 1)
	for w.text[i] != ']' {
		if i = w.value(i, depth+1); w.err != nil {
			return i
		}
		if i = w.space(i); w.text[i] == ',' {
			i = w.space(i + 1)
		}
	}
	return i + 1
}

func (w *walker) object(i, depth int) int {
	outer := len(w.names)
	i = w.space(i + 1)
	for w.text[i] != '}' {
		end := w.str(i)
		name, err := unquote(w.text[i:end])
		if err != nil {
			w.err = fmt.Errorf("a member name is %w", err)
			return i
		}
		if w.names = append(w.names, name); len(w.names)-outer > maxMembers {
			w.err = errors.New("JSON object with too many members")
			return i
		}
		start := w.space(w.space(end) + 1) // after the colon
		if i = w.value(start, depth+1); w.err != nil {
			return i
		}
		if depth == 0 {
			w.members = append(w.members, member{name, Value{w.text[start:i]}})
		}
		if i = w.space(i); w.text[i] == ',' {
			i = w.space(i + 1)
		}
	}
	if name, twice := duplicate(w.names[outer:]); twice {
		w.err = fmt.Errorf("two members are named %.40q", name)
	}
	w.names = w.names[:outer]
	return i + 1
}

// duplicate returns a name that occurs twice. The objects in tokens are small,
// and comparing each pair is then faster than a map.
func duplicate(names []string) (string, bool) {
	if len(names) > 24 {
		seen := make(map[string]struct{}, len(names))
		for _, name := range names {
			if _, ok := seen[name]; ok {
				return name, true
			}
			seen[name] = struct{}{}
		}
		return "", false
	}
	for i, name := range names {
		for _, other := range names[:i] {
			if name == other {
				return name, true
			}
		}
	}
	return "", false
}
