// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Numbers: a claim is often a number that is only an identifier, for example an
// account number of 20 digits, and a header must repeat it digit by digit. CEL
// knows 64 bits, so a number that does not fit keeps its digits beside the
// nearest double: it is printed exactly, and only arithmetic sees the
// approximation.

// claimAdapter gives CEL the claims of a token: JSON as encoding/json decodes
// it with UseNumber.
type claimAdapter struct{}

// NativeToValue implements types.Adapter.
func (a claimAdapter) NativeToValue(value any) ref.Val {
	switch v := value.(type) {
	case map[string]any:
		return types.NewStringInterfaceMap(a, v)
	case []any:
		return types.NewDynamicList(a, v)
	case json.Number:
		return number(v)
	}
	return types.DefaultTypeAdapter.NativeToValue(value)
}

func number(n json.Number) ref.Val {
	if i, err := n.Int64(); err == nil {
		return types.Int(i)
	}
	if u, err := strconv.ParseUint(n.String(), 10, 64); err == nil {
		return types.Uint(u)
	}
	f, err := n.Float64()
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return types.NewErr("%q is not a number", string(n))
	}
	digits, err := expand(n.String())
	if err != nil {
		return types.NewErrFromString(err.Error())
	}
	if text, err := formatFloat(f); err == nil && text == digits {
		return types.Double(f)
	}
	return exact{types.Double(f), digits}
}

// exact is a number that 64 bits do not hold.
type exact struct {
	types.Double
	digits string
}

// ConvertToType implements ref.Val: as a text it is exact.
func (e exact) ConvertToType(t ref.Type) ref.Val {
	if t == types.StringType {
		return types.String(e.digits)
	}
	return e.Double.ConvertToType(t)
}

var errNotDigits = errors.New("a number that cannot be written in digits")

// formatFloat writes a float in digits, without an exponent.
func formatFloat(f float64) (string, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "", errNotDigits
	}
	if f == 0 {
		return "0", nil // not -0
	}
	return strconv.FormatFloat(f, 'f', -1, 64), nil
}

// maxDigits bounds what the exponent of a number may make of it: 1e999999999
// is ten bytes of a token and a gigabyte of digits.
const maxDigits = 1000

// expand writes a JSON number in digits: without an exponent, and without
// zeros that say nothing (1.50e1 is 15).
func expand(n string) (string, error) {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(n), "e")
	exp := 0
	if exponent != "" {
		var err error
		if exp, err = strconv.Atoi(exponent); err != nil || exp > maxDigits || exp < -maxDigits {
			return "", errNotDigits
		}
	}
	unsigned, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(unsigned, ".")
	digits := whole + fraction
	if len(digits) > maxDigits {
		return "", errNotDigits
	}
	// The decimal point comes after this many digits; it may lie outside of
	// them.
	point := len(whole) + exp
	if point < 0 {
		digits, point = strings.Repeat("0", -point)+digits, 0
	}
	if point > len(digits) {
		digits += strings.Repeat("0", point-len(digits))
	}
	whole = strings.TrimLeft(digits[:point], "0")
	fraction = strings.TrimRight(digits[point:], "0")
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		whole += "." + fraction
	}
	if negative && whole != "0" {
		whole = "-" + whole
	}
	return whole, nil
}
