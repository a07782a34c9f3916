// SPDX-License-Identifier: Apache-2.0

package store

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"github.com/caddy-gluu/gateway/internal/seal"
)

// sealing turns records into rows and back. A row's value is sealed and holds
//
//	format (1) | expires, ms (8) | key | number of entries (1) | entries | value
//
// where an entry is its kind and its value. Key, kind and an entry's value have
// their length (2) before them.
// The row's own expiry and index entries are there for the engine alone: what
// counts is what was sealed.
type sealing struct {
	sealer *seal.Sealer
}

const sealedFormat = 1

// sealingLabel separates the keys of the store from those of others that are
// derived from the same secret.
const sealingLabel = "gluu gateway store"

// rowKey hashes a key. The hash has no secret, so that replacing secrets
// changes no key.
func rowKey(kind string, key []byte) Hash {
	return sha256.Sum256(seal.Join("gluu gateway store: key v1", []byte(kind), key))
}

// newVersion returns a version that no other state of a record has.
func newVersion() uint64 {
	var b [8]byte
	for {
		rand.Read(b[:]) // never fails, see its documentation
		if v := binary.BigEndian.Uint64(b[:]); v != 0 {
			return v
		}
	}
}

// rowOp returns an operation as the engine sees it.
func (s sealing) rowOp(op Op) RowOp {
	r := op.record
	row := Row{Kind: r.Kind, Key: rowKey(r.Kind, r.Key)}
	if op.action == PutAction {
		row.Version = newVersion()
		row.Expires = time.UnixMilli(r.Expires.UnixMilli())
		row.Value = s.sealer.Seal(encode(r), "record", row.bound()...)
		for _, e := range r.Index {
			row.Index = append(row.Index, s.sealer.MAC("index", []byte(r.Kind), []byte(e.Kind), e.Value))
		}
	}
	return RowOp{Action: op.action, Row: row, Expect: op.expect}
}

// bound is what the value of a row is bound to.
func (r Row) bound() [][]byte {
	return [][]byte{[]byte(r.Kind), r.Key[:], binary.BigEndian.AppendUint64(nil, r.Version)}
}

// record opens a row.
func (s sealing) record(row Row) (Record, error) {
	text, err := s.sealer.Open(row.Value, "record", row.bound()...)
	if err != nil {
		return Record{}, err
	}
	r, err := decode(text)
	r.Kind, r.Version = row.Kind, row.Version
	return r, err
}

// entries returns the hashes of an index entry: the first secret's last, since
// a record that is written while it is listed moves to the first secret.
func (s sealing) entries(kind string, e Entry) []Hash {
	macs := s.sealer.MACs("index", []byte(kind), []byte(e.Kind), e.Value)
	hashes := make([]Hash, len(macs))
	for i, mac := range macs {
		hashes[len(macs)-1-i] = mac
	}
	return hashes
}

func (s sealing) announcement(r Record) []byte {
	return s.sealer.Seal(appendField(appendField(nil, []byte(r.Kind)), r.Key), "announcement")
}

func (s sealing) openAnnouncement(sealed []byte) (kind string, key []byte, err error) {
	text, err := s.sealer.Open(sealed, "announcement")
	if err != nil {
		return "", nil, err
	}
	first, rest, ok := cutField(text)
	second, rest, ok2 := cutField(rest)
	if !ok || !ok2 || len(rest) > 0 {
		return "", nil, errFormat
	}
	return string(first), second, nil
}

var errFormat = errors.New("the record has a format that this version of the gateway does not know")

func encode(r Record) []byte {
	text := make([]byte, 0, 64+len(r.Key)+len(r.Value))
	text = append(text, sealedFormat)
	text = binary.BigEndian.AppendUint64(text, uint64(r.Expires.UnixMilli()))
	text = appendField(text, r.Key)
	text = append(text, byte(len(r.Index)))
	for _, e := range r.Index {
		text = appendField(appendField(text, []byte(e.Kind)), e.Value)
	}
	return append(text, r.Value...)
}

func decode(text []byte) (r Record, err error) {
	if len(text) < 1+8 || text[0] != sealedFormat {
		return r, errFormat
	}
	r.Expires = time.UnixMilli(int64(binary.BigEndian.Uint64(text[1:9])))
	key, text, ok := cutField(text[9:])
	if !ok || len(text) == 0 || text[0] > MaxIndex {
		return r, errFormat
	}
	r.Key = key
	n, text := int(text[0]), text[1:]
	for range n {
		var kind, value []byte
		if kind, text, ok = cutField(text); !ok {
			return r, errFormat
		}
		if value, text, ok = cutField(text); !ok {
			return r, errFormat
		}
		r.Index = append(r.Index, Entry{string(kind), value})
	}
	r.Value = text
	return r, nil
}

func appendField(text, field []byte) []byte {
	return append(binary.BigEndian.AppendUint16(text, uint16(len(field))), field...)
}

func cutField(text []byte) (field, rest []byte, ok bool) {
	if len(text) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(text))
	if text = text[2:]; len(text) < n {
		return nil, nil, false
	}
	return text[:n:n], text[n:], true
}
