// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-gluu/gateway/internal/store"
)

// A row is a string that commit.lua reads too:
//
//	version (8) | expires, ms, in digits (15) | number of entries (1) | entries | value
const (
	rowPrefix   = "{gluu}:r:"
	indexPrefix = "{gluu}:i:"
	changesKey  = "{gluu}:c"

	expiresDigits = 15 // enough for store.Forever
	rowHeader     = 8 + expiresDigits + 1
)

var errRow = errors.New("a row in Redis is shorter than it says")

func rowKey(kind string, key store.Hash) string { return rowPrefix + kind + ":" + string(key[:]) }

func indexKey(kind string, entry store.Hash) string {
	return indexPrefix + kind + ":" + string(entry[:])
}

func encodeRow(r store.Row) string {
	text := make([]byte, 0, rowHeader+len(r.Index)*len(store.Hash{})+len(r.Value))
	text = binary.BigEndian.AppendUint64(text, r.Version)
	text = fmt.Appendf(text, "%0*d", expiresDigits, max(r.Expires.UnixMilli(), 0))
	text = append(text, byte(len(r.Index)))
	for _, entry := range r.Index {
		text = append(text, entry[:]...)
	}
	return string(append(text, r.Value...))
}

func decodeRow(kind string, key store.Hash, text string) (store.Row, error) {
	if len(text) < rowHeader {
		return store.Row{}, errRow
	}
	expires, err := strconv.ParseInt(text[8:8+expiresDigits], 10, 64)
	begin := rowHeader + int(text[rowHeader-1])*len(store.Hash{})
	if err != nil || len(text) < begin {
		return store.Row{}, errRow
	}
	return store.Row{
		Kind: kind, Key: key, Version: binary.BigEndian.Uint64([]byte(text[:8])),
		Expires: time.UnixMilli(expires), Value: []byte(text[begin:]),
	}, nil
}

// place is where a list goes on: after a row that expires at a time. In a set
// that is the order, and among those that expire together that of their keys.
type place struct {
	expires uint64
	key     []byte
}

func parsePlace(after []byte) (p place, err error) {
	switch len(after) {
	case 0:
		return place{}, nil
	case 8 + len(store.Hash{}):
		return place{binary.BigEndian.Uint64(after), after[8:]}, nil
	}
	return place{}, errors.New("there is no such page")
}

func (p place) encode() []byte {
	return append(binary.BigEndian.AppendUint64(nil, p.expires), p.key...)
}

func (p place) before(member place) bool {
	return member.expires > p.expires || member.expires == p.expires && bytes.Compare(member.key, p.key) > 0
}

// List implements store.Engine.
func (e *Engine) List(ctx context.Context, kind string, entry store.Hash, after []byte, n int) (rows []store.Row, next []byte, err error) {
	from, err := parsePlace(after)
	if err != nil || n <= 0 {
		return nil, nil, err
	}
	members, err := e.members(ctx, indexKey(kind, entry), from, n)
	if err != nil || len(members) == 0 {
		return nil, nil, err
	}
	keys := make([]string, len(members))
	for i, member := range members {
		keys[i] = rowKey(kind, store.Hash(member.key))
	}
	texts, err := do(ctx, e, func(c rueidis.Client) ([]rueidis.RedisMessage, error) {
		return c.Do(ctx, c.B().Mget().Key(keys...).Build()).ToArray()
	})
	if err != nil {
		return nil, nil, err
	}
	for i, message := range texts {
		text, err := message.ToString()
		if rueidis.IsRedisNil(err) {
			continue // has expired, and is still in the set
		}
		if err != nil {
			return nil, nil, err
		}
		row, err := decodeRow(kind, store.Hash(members[i].key), text)
		if err != nil {
			return nil, nil, err
		}
		rows = append(rows, row)
	}
	if len(members) == n {
		next = members[n-1].encode()
	}
	return rows, next, nil
}

// members returns up to n members of a set after a place. Those that expire in
// the same millisecond as the place, and were listed before, are skipped.
func (e *Engine) members(ctx context.Context, set string, from place, n int) (members []place, err error) {
	minimum := strconv.FormatUint(from.expires, 10)
	for offset := int64(0); ; offset += int64(n) {
		scores, err := do(ctx, e, func(c rueidis.Client) ([]rueidis.ZScore, error) {
			return c.Do(ctx, c.B().Zrangebyscore().Key(set).Min(minimum).Max("+inf").Withscores().Limit(offset, int64(n)).Build()).AsZScores()
		})
		if err != nil {
			return nil, err
		}
		for _, score := range scores {
			member := place{uint64(score.Score), []byte(score.Member)}
			if len(member.key) == len(store.Hash{}) && from.before(member) && len(members) < n {
				members = append(members, member)
			}
		}
		if len(members) == n || len(scores) < n {
			return members, nil
		}
	}
}
