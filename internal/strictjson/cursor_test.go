// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCursor(t *testing.T) {
	c := NewCursor(" {\n\"a\" : [ -1 , {} , \"x\\n\" ],\"\\u0062\":true } ")
	var got []any
	note := func(values ...any) { got = append(got, values...) }
	note(c.Kind(), c.Offset())
	for c.Open(); c.More(); {
		at := c.Offset()
		name, err := c.Name()
		note(name, err, at, c.Kind(), c.Offset())
		if c.Kind() != '[' {
			note(c.Skip())
			continue
		}
		for c.Open(); c.More(); {
			if kind := c.Kind(); kind != '"' {
				note(kind, c.Skip())
				continue
			}
			text, err := c.Text()
			note(text, err)
		}
	}
	note(c.Kind(), c.Offset())
	want := []any{
		byte('{'), 1,
		"a", error(nil), 3, byte('['), 9,
		byte('0'), "-1", byte('{'), "{}", "x\n", error(nil),
		"b", error(nil), 29, byte('t'), 38, "true",
		byte(0), 45,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

func TestCursorSeek(t *testing.T) {
	c := NewCursor(`[{"a": [1, 2]}, 3]`)
	c.Open()
	first := c.Offset()
	skipped := c.Skip()
	c.More()
	if next := c.Skip(); skipped != `{"a": [1, 2]}` || next != "3" {
		t.Errorf("got %s and %s", skipped, next)
	}
	c.Seek(first)
	if again := c.Skip(); again != skipped {
		t.Errorf("got %s, want %s", again, skipped)
	}
}

func TestUnquote(t *testing.T) {
	for quoted, want := range map[string]string{
		`""`:                 "",
		`"a"`:                "a",
		`"\"\\\/\b\f\n\r\t"`: "\"\\/\b\f\n\r\t",
		`"\u00e9"`:           "é",
		`"\ud83d\ude00"`:     "😀",
		`"\\ud800"`:          `\ud800`,
		"\"\ufffd\"":         "\ufffd",
		"\"\ufffd\\n\"":      "\ufffd\n",
	} {
		t.Run(quoted, func(t *testing.T) {
			if got, err := Unquote(quoted); err != nil || got != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		})
	}
	for _, quoted := range []string{
		`"\ud800"`, `"\udfff"`, `"a\ud83db"`, `"\ude00\ud83d"`, `"\ud83d\n"`, `"\ufffd"`, "\"\ufffd\\ud800\"",
	} {
		t.Run(quoted, func(t *testing.T) {
			if got, err := Unquote(quoted); err != ErrSurrogate || !strings.Contains(got, replacement) {
				t.Errorf("got %q, %v, want %v", got, err, ErrSurrogate)
			}
		})
	}
}

// FuzzCursor walks a text value by value and compares with what encoding/json
// decodes.
func FuzzCursor(f *testing.F) {
	for _, seed := range []string{
		` {"a":[1,-2.5e3,{"b":{}}],"c":"\\\"]}","d":null} `, `[]`, `"x"`, `0`, `[[[ ]]]`, `{"\ud800":[true,false]}`, "\"\u2028\"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		var want any
		if !json.Valid(data) || !utf8.Valid(data) || d.Decode(&want) != nil {
			return
		}
		c := NewCursor(string(data))
		if text := c.Skip(); text != strings.Trim(string(data), " \t\r\n") || c.Kind() != 0 {
			t.Fatalf("skipped %q of %q", text, data)
		}
		c.Seek(0)
		if got := readAny(t, &c); !reflect.DeepEqual(got, want) || c.Kind() != 0 {
			t.Fatalf("got %v, want %v: %q", got, want, data)
		}
	})
}

// readAny reads the value at the cursor as encoding/json reads it into an any.
func readAny(t *testing.T, c *Cursor) any {
	switch c.Kind() {
	case '{':
		object := map[string]any{}
		for c.Open(); c.More(); {
			name, _ := c.Name()
			object[name] = readAny(t, c)
		}
		return object
	case '[':
		list := []any{}
		for c.Open(); c.More(); {
			list = append(list, readAny(t, c))
		}
		return list
	case '"':
		text, _ := c.Text()
		return text
	case '0':
		return json.Number(c.Skip())
	}
	var value any
	if raw := c.Skip(); json.Unmarshal([]byte(raw), &value) != nil {
		t.Fatalf("%q is not a value", raw)
	}
	return value
}
