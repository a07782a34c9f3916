// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-gluu/gateway/internal/strictjson"
)

// Object is a JSON object with only one meaning: no object in it has duplicate
// members, it is valid UTF-8, and its depth and width are bounded.
//
// encoding/json is not strict enough. It takes the last of two members of the same
// name where other decoders take the first, and fills a field "iss" from a member
// "ISS". RFC 7515 section 5.2 and RFC 7519 section 4 allow a recipient to refuse
// such objects, and this one does.
type Object struct {
	members []strictjson.Member
}

// Value is one JSON value of an [Object], as written.
type Value struct {
	raw string
}

// ParseObject reads one JSON object. The caller must limit its size: time and
// memory are proportional to it.
func ParseObject(data []byte) (Object, error) {
	members, err := strictjson.Object(data)
	return Object{members}, err
}

// Get returns the member with exactly this name, and whether it exists.
func (o Object) Get(name string) (Value, bool) {
	for i := range o.members {
		if o.members[i].Name == name {
			return Value{o.members[i].Value}, true
		}
	}
	return Value{}, false
}

// Has reports whether there is a member of this name, with any value.
func (o Object) Has(name string) bool {
	_, ok := o.Get(name)
	return ok
}

// Text returns the string member of this name, and an error if it is not a string.
// A null member counts as missing and reads as "": many servers write every
// member that they know.
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

// Time returns the NumericDate member of this name, and the zero time if the member
// is missing or null.
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

// JSON returns the value as written.
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
	text, err := strictjson.Unquote(v.raw)
	if err != nil {
		return "", err
	}
	return text, nil
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
	texts := strictjson.Elements(v.raw)
	elements := make([]Value, len(texts))
	for i, text := range texts {
		elements[i] = Value{text}
	}
	return elements, nil
}

// Object returns the value of a JSON object.
func (v Value) Object() (Object, error) {
	if !strings.HasPrefix(v.raw, "{") {
		return Object{}, strictjson.ErrNotObject
	}
	return ParseObject([]byte(v.raw))
}

// lastDate is the end of the year 9999, the last year of RFC 3339 and of the JSON
// form of time.Time.
const lastDate = 253402300799

// Time returns the time of a NumericDate (RFC 7519 section 2): seconds since
// the epoch, with an optional fraction. A string, a negative number and a date
// after the year 9999 are errors: an overflow would turn a date in the far future
// into one in the past, or the reverse.
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
