// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// FuzzDecode looks for a sealed text that panics, or that is read as a record
// that would be written differently.
func FuzzDecode(f *testing.F) {
	r := Record{Key: []byte("key"), Value: []byte("value"), Expires: time.UnixMilli(1_700_000_000_123)}
	f.Add(encode(r))
	r.Index = []Entry{{"subject", []byte("alice")}, {"client", nil}}
	f.Add(encode(r))
	f.Add([]byte{sealedFormat})
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := decode(text)
		if err != nil {
			return
		}
		if got := encode(r); !bytes.Equal(got, text) {
			t.Errorf("%x is read as %+v, which is written %x", text, r, got)
		}
	})
}

// FuzzEncode looks for records that do not come back.
func FuzzEncode(f *testing.F) {
	f.Add([]byte("key"), []byte("value"), int64(1_700_000_000_123), "subject", []byte("alice"))
	f.Fuzz(func(t *testing.T, key, value []byte, expires int64, kind string, entry []byte) {
		if len(key) > maxKey || len(kind) > maxKind || len(entry) > maxEntry {
			return // refused before it is encoded
		}
		r := Record{Key: key, Value: value, Expires: time.UnixMilli(expires), Index: []Entry{{kind, entry}, {kind, key}}}
		got, err := decode(encode(r))
		if err != nil || !bytes.Equal(got.Key, key) || !bytes.Equal(got.Value, value) || !got.Expires.Equal(r.Expires) {
			t.Errorf("got %+v, %v, want %+v", got, err, r)
		}
		if !slices.EqualFunc(got.Index, r.Index, func(a, b Entry) bool { return a.Kind == b.Kind && bytes.Equal(a.Value, b.Value) }) {
			t.Errorf("got the index %q, want %q", got.Index, r.Index)
		}
	})
}
