// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestObjectHasOneReading(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"m%d":%d,`, i, i)
		}
		return b.String()
	}
	for text, ok := range map[string]bool{
		`{}`:                                true,
		" \t\r\n{ } \n":                     true,
		` { "a" : 1 , "b" : [ 1 , { } ] } `: true,
		`{"a":{"x":1},"b":{"x":1}}`:         true,
		`{"a":[{"x":1},{"x":1}]}`:           true,
		`{"a":1,"A":2}`:                     true,
		`{"a\"":1,"a":2}`:                   true,
		`{"":1}`:                            true,
		`{"a":"}\\\"{"}`:                    true,
		`{` + many(999) + `"a":1}`:          true,

		``:                               false,
		` `:                              false,
		`5`:                              false,
		`"a"`:                            false,
		`null`:                           false,
		`[{}]`:                           false,
		`{}{}`:                           false,
		`{"a":1,}`:                       false,
		`{"a":1,"a":1}`:                  false,
		`{"a":1,"\u0061":1}`:             false,
		`{"":1,"":1}`:                    false,
		`{"a":{"x":1,"y":2,"x":1}}`:      false,
		`{"a":[[{"x":1,"x":1}]]}`:        false,
		`{"a":{"b":{}},"a":{}}`:          false,
		`{` + many(30) + `"m7":1}`:       false,
		`{` + many(1000) + `"a":1}`:      false,
		`{"a":{` + many(1000) + `"a":1}`: false,
		"{\"a\":\"\xff\"}":               false,
		"{\"a\xff\":1}":                  false,
		`{"\ud800":1}`:                   false,
		`{"a":` + strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 41): false,
		`{"a":` + strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40) + `} `:    false,
	} {
		if _, err := Object([]byte(text)); (err == nil) != ok {
			t.Errorf("%.60s: got %v, want it accepted: %t", text, err, ok)
		}
	}
}

func TestObjectNamesTheFault(t *testing.T) {
	for text, want := range map[string]string{
		`{"iss":"a","\u0069ss":"b"}`: `two members are named "iss"`,
		`{"a":[{"b":1,"b":2}]}`:      `two members are named "b"`,
		`{"\udc00":1}`:               "a member name is not valid Unicode",
		`[]`:                         "not a JSON object",
		`{} 1`:                       "not valid JSON",
	} {
		t.Run(text, func(t *testing.T) {
			if _, err := Object([]byte(text)); err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

func TestObjectKeepsNumbers(t *testing.T) {
	const number = "123456789012345678901234567890.10e+2"
	got, err := Object([]byte(`{"n": ` + number + ` }`))
	if want := []Member{{"n", number}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestElements(t *testing.T) {
	for text, want := range map[string][]string{
		`[]`:                                nil,
		` [ ] `:                             nil,
		`[1]`:                               {"1"},
		`[ 1 , "a,]" ,{"b" : [2]},[],null]`: {"1", `"a,]"`, `{"b" : [2]}`, "[]", "null"},
	} {
		t.Run(text, func(t *testing.T) {
			if got := Elements(text); !reflect.DeepEqual(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// FuzzObject compares with encoding/json in both directions: what is accepted
// has the same members there, and what is refused breaks a rule that a second
// implementation of the rules, made of encoding/json's tokens, also finds.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		`{"a":1,"b":[1,{"c":null}],"d":"\u00e9\\\""}`, `{"a":1,"\u0061":2}`, ` { } `, `{"a":[[[[]]]]} `, `{"\ud800":1}`, `[`,
		`{"a":{"b":1,"b":2}}`, `{"a":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, `{"\ufffd":1}`, `{}{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Object(data)
		if broken := brokenRule(data); (err != nil) != (broken != nil) {
			t.Fatalf("got %v, want %v: %q", err, broken, data)
		}
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(data, &want); err != nil || len(want) != len(got) {
			t.Fatalf("%d members, want %d, %v: %q", len(got), len(want), err, data)
		}
		for _, m := range got {
			if m.Value != string(want[m.Name]) {
				t.Fatalf("member %q is %q, want %q", m.Name, m.Value, want[m.Name])
			}
		}
	})
}

// brokenRule says which rule of Object the text breaks.
func brokenRule(data []byte) error {
	trimmed := bytes.TrimLeft(data, " \t\r\n")
	if !json.Valid(data) || !utf8.Valid(data) || trimmed[0] != '{' {
		return errors.New("not an object")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return brokenValue(d, data, 0)
}

func brokenValue(d *json.Decoder, data []byte, depth int) error {
	if depth > maxDepth {
		return errors.New("too deep")
	}
	token, err := d.Token()
	if err != nil || token != json.Delim('{') && token != json.Delim('[') {
		return err
	}
	seen := map[string]bool{}
	for d.More() {
		if token == json.Delim('{') {
			if err := brokenName(d, data, seen); err != nil {
				return err
			}
		}
		if err := brokenValue(d, data, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

func brokenName(d *json.Decoder, data []byte, seen map[string]bool) error {
	before := d.InputOffset()
	token, err := d.Token()
	if err != nil {
		return err
	}
	name := token.(string)
	raw := data[before:d.InputOffset()]
	switch {
	case seen[name]:
		return fmt.Errorf("%q twice", name)
	case strings.Count(name, "\ufffd") != bytes.Count(raw, []byte("\ufffd")):
		return fmt.Errorf("%s is not Unicode", raw)
	}
	seen[name] = true
	if len(seen) > maxMembers {
		return errors.New("too wide")
	}
	return nil
}
