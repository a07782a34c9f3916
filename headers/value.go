// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// native returns what a value of CEL is in JSON: nil, a bool, a string, a
// json.Number in digits, a []any or a map[string]any.
func native(value ref.Val, depth int) (any, error) {
	if depth > maxNesting {
		return nil, errors.New("the value is nested too deeply")
	}
	switch v := value.(type) {
	case types.String:
		return string(v), nil
	case types.Bool:
		return bool(v), nil
	case types.Int:
		return json.Number(strconv.FormatInt(int64(v), 10)), nil
	case types.Uint:
		return json.Number(strconv.FormatUint(uint64(v), 10)), nil
	case types.Double:
		digits, err := formatFloat(float64(v))
		return json.Number(digits), err
	case exact:
		return json.Number(v.digits), nil
	case types.Null:
		return nil, nil
	case types.Bytes:
		return base64.StdEncoding.EncodeToString(v), nil
	case types.Timestamp:
		return v.UTC().Format(time.RFC3339Nano), nil
	case types.Duration:
		return strconv.FormatFloat(v.Seconds(), 'f', -1, 64) + "s", nil
	case *types.Optional:
		if !v.HasValue() {
			return nil, nil
		}
		return native(v.GetValue(), depth+1)
	case traits.Mapper:
		return nativeMap(v, depth)
	case traits.Lister:
		return nativeList(v, depth)
	case *types.Err:
		return nil, classify(v)
	}
	return nil, fmt.Errorf("a value of type %s cannot stand in a header", value.Type().TypeName())
}

func nativeMap(m traits.Mapper, depth int) (any, error) {
	object := make(map[string]any)
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, ok := key.ConvertToType(types.StringType).(types.String)
		if !ok {
			return nil, fmt.Errorf("a key of type %s cannot stand in a header", key.Type().TypeName())
		}
		member, err := native(m.Get(key), depth+1)
		if err != nil {
			return nil, err
		}
		object[string(name)] = member
	}
	return object, nil
}

func nativeList(l traits.Lister, depth int) (any, error) {
	list := []any{} // an empty list is [], not null
	for it := l.Iterator(); it.HasNext() == types.True; {
		element, err := native(it.Next(), depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, element)
	}
	return list, nil
}

// text returns a native value as it is: an object or list as JSON with its
// members sorted by name, so that the same claims give the same bytes.
func text(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case json.Number:
		return v.String(), nil
	}
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "", fmt.Errorf("encoding the value as JSON: %w", err)
	}
	return strings.TrimSuffix(buf.String(), "\n"), nil
}

func isScalar(value any) bool {
	switch value.(type) {
	case string, bool, json.Number:
		return true
	}
	return false
}

// write returns a native value that is not nil as the value of a header.
func (h *Header) write(value any, sign SignFunc) (string, error) {
	format := h.format
	if format == FormatDefault {
		format = FormatBase64
		if isScalar(value) {
			format = FormatString
		}
	}
	switch format {
	case FormatList:
		return h.join(value)
	case FormatJWT:
		object, ok := value.(map[string]any)
		if !ok {
			return "", errors.New("only an object can be a jwt")
		}
		if sign == nil {
			return "", errors.New("no key to sign with")
		}
		return sign(object)
	}
	plain, err := text(value)
	if err != nil {
		return "", err
	}
	switch format {
	case FormatBase64:
		return base64.StdEncoding.EncodeToString([]byte(plain)), nil
	case FormatURLEncoded:
		// QueryEscape escapes all but the unreserved characters of RFC 3986,
		// and differs from it only in the space.
		return strings.ReplaceAll(url.QueryEscape(plain), "+", "%20"), nil
	}
	return plain, nil
}

// join writes a list. The upstream must split it into the same elements: the
// group "staff,admin" does not make its members "admin". A scalar is sent as it
// is; it may already be a written list.
func (h *Header) join(value any) (string, error) {
	if isScalar(value) {
		return text(value)
	}
	list, ok := value.([]any)
	if !ok {
		return "", errors.New("an object is not a list")
	}
	var elements []string
	for _, element := range list {
		if element == nil {
			continue
		}
		plain, err := text(element)
		if err != nil {
			return "", err
		}
		elements = append(elements, plain)
	}
	if len(elements) == 0 {
		return "", errMissing
	}
	joined := strings.Join(elements, h.sep)
	if !slices.Equal(strings.Split(joined, h.sep), elements) {
		return "", errors.New("an element of the list contains the separator")
	}
	return joined, nil
}

// Sendable reports whether a text can be the value of a header that the gateway
// sets: of at most 8 KiB, without control characters, and without a space at
// its begin or end. Values that do not come from a [Set] are held to the same
// rule with it.
func Sendable(value string) bool { return unsendable(value) == nil }

// unsendable says why a text cannot be the value of a header.
func unsendable(value string) error {
	switch {
	case len(value) > maxValue:
		return errTooLong
	case !printable(value):
		return errControl
	case strings.HasPrefix(value, " "), strings.HasSuffix(value, " "):
		return errSpace
	}
	return nil
}

// printable reports whether every recipient reads a text in the same way: valid
// UTF-8 without control characters (C0, DEL, C1) and without the line breaks of
// Unicode, which some upstreams log or parse as such.
func printable(value string) bool {
	if !utf8.ValidString(value) {
		return false
	}
	return !strings.ContainsFunc(value, func(r rune) bool {
		return r < 0x20 || (r >= 0x7f && r <= 0x9f) || r == '\u2028' || r == '\u2029'
	})
}
