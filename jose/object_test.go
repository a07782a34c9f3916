// SPDX-License-Identifier: Apache-2.0

package jose

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

func TestObjectMembers(t *testing.T) {
	o, err := ParseObject([]byte(`{ "text" : "a\u00e9\n", "list":["a", "b" , "\u0063"], "empty":[ ], "null":null,
		"n": 12 , "mixed":["a",1], "object" : {"x":"y"}, "nested":[["a"]], "half":"\ud83d", "fffd":"\ufffdx", "raw":"�\n" }`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"text": "aé\n", "null": "", "missing": "", "TEXT": "", "raw": "�\n"} {
		if got, err := o.Text(name); err != nil || got != want {
			t.Errorf("text %s: got %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"list", "n", "object", "half", "fffd"} {
		if got, err := o.Text(name); err == nil {
			t.Errorf("text %s: got %q and no error", name, got)
		}
	}
	for name, want := range map[string][]string{"list": {"a", "b", "c"}, "empty": {}} {
		v, _ := o.Get(name)
		if got, err := v.Texts(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("texts %s: got %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"mixed", "nested", "text", "null", "missing", "object"} {
		v, _ := o.Get(name)
		if got, err := v.Texts(); err == nil {
			t.Errorf("texts %s: got %q and no error", name, got)
		}
	}
	v, _ := o.Get("object")
	if inner, err := v.Object(); err != nil || !inner.Has("x") || v.JSON() != `{"x":"y"}` {
		t.Errorf("object: got %v, %v", inner, err)
	}
	if v, _ = o.Get("list"); v.IsText() || !v.IsList() || v.IsNull() {
		t.Error("the list does not count as a list")
	}
	if _, err := v.Object(); err == nil {
		t.Error("a list is an object")
	}
	if !o.Has("null") || o.Has("Null") {
		t.Error("members are not compared exactly")
	}
}

func TestNumericDate(t *testing.T) {
	for text, want := range map[string]time.Time{
		`0`:              time.Unix(0, 0),
		`1700000000`:     time.Unix(1700000000, 0),
		`1700000000.5`:   time.Unix(1700000000, 5e8),
		`1.7e9`:          time.Unix(1700000000, 0),
		`17E+8`:          time.Unix(1700000000, 0),
		`253402300799`:   time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		`1700000000.000`: time.Unix(1700000000, 0),
	} {
		o, err := ParseObject([]byte(`{"d":` + text + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := o.Time("d"); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		`"1700000000"`, `true`, `[]`, `{}`, `[1700000000]`, `""`, `"NaN"`,
		`-1`, `-1.5`, `-1e5`, `-0.5`,
		`253402300800`, `253402300799.5`, `1e12`, `1e400`, `9223372036854775807`, `9223372036854775808`,
		`18446744073709551617`, `1700000000000`, `1e308`, `999999999999999999999999999999`,
	} {
		o, err := ParseObject([]byte(`{"d":` + text + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := o.Time("d"); err == nil {
			t.Errorf("%s: got %v and no error", text, got)
		}
	}
	o, _ := ParseObject([]byte(`{"d":null}`))
	for _, name := range []string{"d", "missing"} {
		if got, err := o.Time(name); err != nil || !got.IsZero() {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

// What is accepted reads exactly as encoding/json reads it, and what
// encoding/json refuses is refused.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		`{"a":1,"b":[1,{"c":null}],"d":"\u00e9\\\""}`, `{"a":1,"\u0061":2}`, ` { } `, `{"a":[[[[]]]]} `, `{"x":"\ud800"}`, `[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := ParseObject(data)
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatalf("accepted, though it is %v: %q", err, data)
		}
		if len(want) != len(o.members) {
			t.Fatalf("%d members, want %d: %q", len(o.members), len(want), data)
		}
		for name, value := range want {
			got, ok := o.Get(name)
			if !ok || got.JSON() != string(value) {
				t.Fatalf("member %q is %q, want %q", name, got.JSON(), value)
			}
			if text, err := got.Text(); err == nil {
				var want string
				if json.Unmarshal(value, &want) != nil || text != want {
					t.Fatalf("text of %q is %q, want %q", name, text, want)
				}
			}
			if texts, err := got.Texts(); err == nil {
				var want []string
				if json.Unmarshal(value, &want) != nil || !reflect.DeepEqual(texts, want) {
					t.Fatalf("texts of %q are %q, want %q", name, texts, want)
				}
			}
			if date, err := got.Time(); err == nil && (date.Year() < 1970 || date.UTC().Year() > 9999) {
				t.Fatalf("date of %q is %v", name, date)
			}
		}
	})
}
