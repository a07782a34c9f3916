// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"context"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-gluu/gateway/internal/redistest"
)

func TestRedis(t *testing.T) {
	server := redistest.Start(t)
	option, err := rueidis.ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	option.DisableCache, option.ForceSingleClient = true, true
	open := func() *Limiter {
		store := OpenRedis(option)
		t.Cleanup(store.Close)
		for deadline := time.Now().Add(10 * time.Second); store.client.Load() == nil; {
			if time.Now().After(deadline) {
				t.Fatal("no connection")
			}
			time.Sleep(time.Millisecond)
		}
		return New(Config{Limits: []Limit{{Year, 1000}}, Shared: store, Gateways: 2, Prefix: "zone"})
	}
	a, b := open(), open()
	if got := count(a, "k", 600) + count(b, "k", 600); got > 1000 || got < 950 {
		t.Errorf("got %d requests, want 1000 but for a lease that is not spent", got)
	}
	if got := count(b, "other", 10); got != 10 {
		t.Errorf("got %d of another key, want 10", got)
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	keys, err := client.Do(context.Background(), client.B().Keys().Pattern("*").Build()).AsStrSlice()
	if err != nil || len(keys) != 2 {
		t.Fatal(keys, err)
	}
	for _, key := range keys {
		if ttl, err := client.Do(context.Background(), client.B().Pttl().Key(key).Build()).AsInt64(); err != nil || ttl <= 0 {
			t.Errorf("%s lives for %d ms, %v", key, ttl, err)
		}
	}
}
