// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/caddy-gluu/gateway/internal/store"
)

// row is what is in the file under a key:
//
//	version (8) | expires, ms (8) | number of index entries (1) | entries | value
type row struct {
	version uint64
	expires time.Time
	index   [][]byte // views of the file, good for the transaction
	value   []byte   // the same
}

const rowHeader = 8 + 8 + 1

var errRow = errors.New("the file is damaged: a record is shorter than it says")

func encodeRow(r store.Row) []byte {
	text := make([]byte, 0, rowHeader+len(r.Index)*len(store.Hash{})+len(r.Value))
	text = binary.BigEndian.AppendUint64(text, r.Version)
	text = binary.BigEndian.AppendUint64(text, uint64(r.Expires.UnixMilli()))
	text = append(text, byte(len(r.Index)))
	for _, entry := range r.Index {
		text = append(text, entry[:]...)
	}
	return append(text, r.Value...)
}

// decodeRow returns store.ErrNotFound for nil.
func decodeRow(text []byte) (r row, err error) {
	if text == nil {
		return r, store.ErrNotFound
	}
	if len(text) < rowHeader {
		return r, errRow
	}
	r.version = binary.BigEndian.Uint64(text)
	r.expires = time.UnixMilli(int64(binary.BigEndian.Uint64(text[8:])))
	n, rest := int(text[16]), text[rowHeader:]
	size := len(store.Hash{})
	if len(rest) < n*size {
		return r, errRow
	}
	for i := range n {
		r.index = append(r.index, rest[i*size:(i+1)*size])
	}
	r.value = rest[n*size:]
	return r, nil
}

// recordKey is where a row is. A kind has no 0 in it.
func recordKey(kind string, key store.Hash) []byte {
	return append(append(append(make([]byte, 0, len(kind)+1+len(key)), kind...), 0), key[:]...)
}

// expiryKey sorts rows by when they expire.
func expiryKey(expires time.Time, at []byte) []byte {
	key := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(at)), uint64(max(expires.UnixMilli(), 0)))
	return append(key, at...)
}

func indexKey(kind string, entry store.Hash, key []byte) []byte {
	return append(recordKey(kind, entry), key...)
}
