// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	_ "embed" // for the script
	"encoding/binary"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-gluu/gateway/internal/store"
)

//go:embed commit.lua
var commitText string

var commitScript = rueidis.NewLuaScript(commitText)

var actions = map[store.Action]string{
	store.PutAction: "put", store.DeleteAction: "delete", store.CheckAction: "check",
}

// Commit implements store.Engine.
func (e *Engine) Commit(ctx context.Context, now time.Time, ops []store.RowOp, announcements [][]byte) error {
	keys, arguments := commitArguments(now, ops, announcements)
	done, err := do(ctx, e, func(c rueidis.Client) (int64, error) {
		return commitScript.Exec(ctx, c, keys, arguments).AsInt64()
	})
	if err == nil && done == 0 {
		return store.ErrConflict
	}
	return err
}

// commitArguments returns what commit.lua takes.
func commitArguments(now time.Time, ops []store.RowOp, announcements [][]byte) (keys, arguments []string) {
	arguments = []string{milliseconds(now), strconv.Itoa(len(ops)), indexPrefix, strconv.Itoa(len(announcements))}
	var sets []string
	for _, op := range ops {
		r := op.Row
		keys = append(keys, rowKey(r.Kind, r.Key))
		row, expires := "", ""
		if op.Action == store.PutAction {
			row, expires = encodeRow(r), milliseconds(r.Expires)
		}
		for _, entry := range r.Index {
			sets = append(sets, indexKey(r.Kind, entry))
		}
		arguments = append(arguments, actions[op.Action], expected(op.Expect), r.Kind, string(r.Key[:]), expires, row)
	}
	for _, sealed := range announcements {
		arguments = append(arguments, string(sealed))
	}
	return append(append(keys, sets...), changesKey), arguments
}

func expected(e store.Expect) string {
	switch {
	case e.Any:
		return "*"
	case e.Version == 0:
		return ""
	}
	return string(binary.BigEndian.AppendUint64(nil, e.Version))
}

func milliseconds(t time.Time) string { return strconv.FormatInt(max(t.UnixMilli(), 0), 10) }
