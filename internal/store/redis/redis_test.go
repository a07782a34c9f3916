// SPDX-License-Identifier: Apache-2.0

package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/redis"
	"github.com/caddy-gluu/gateway/internal/store/storetest"
)

const (
	patience = 30 * time.Second
	changes  = "{gluu}:c" // the stream of announcements
)

func TestMain(m *testing.M) {
	// The client library finds out about failovers in the background, at most
	// every second, and does not wait for that when it is closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"))
}

// place is a Redis, empty at the start of each test.
type place struct {
	url    string
	client rueidis.Client
}

func newPlace(t testing.TB, url string) *place {
	t.Helper()
	option, err := redis.ClientOption(url)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	p := &place{url: url, client: client}
	p.do(t, "FLUSHALL")
	return p
}

func (p *place) do(t testing.TB, command ...string) rueidis.RedisResult {
	t.Helper()
	result := p.client.Do(t.Context(), p.client.B().Arbitrary(command...).Build())
	if err := result.Error(); err != nil && !rueidis.IsRedisNil(err) {
		t.Fatalf("%s: %v", command[0], err)
	}
	return result
}

func (p *place) Open(t testing.TB) store.Engine {
	t.Helper()
	engine := openEngine(t, p.url, nil)
	harness.Eventually(t, patience, func() string {
		if _, err := engine.Get(t.Context(), "grant", store.Hash{}); !errors.Is(err, store.ErrNotFound) {
			return "Get: " + err.Error()
		}
		return ""
	})
	return engine
}

// Leftovers counts keys and members of sets, and sees that all have a time to
// live. The announcements do not belong to records: they last ten minutes.
func (p *place) Leftovers(t testing.TB) (n int) {
	t.Helper()
	keys, err := p.do(t, "KEYS", "*").AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, "{gluu}:") {
			t.Errorf("%q does not have the hash tag of the others", key)
		}
		if ttl, err := p.do(t, "PTTL", key).AsInt64(); err != nil || ttl == -1 {
			t.Errorf("%q has no time to live (%v)", key, err)
		}
		if key == changes {
			continue
		}
		n++
		if strings.HasPrefix(key, "{gluu}:i:") {
			members, err := p.do(t, "ZCARD", key).AsInt64()
			if err != nil {
				t.Fatal(err)
			}
			n += int(members)
		}
	}
	return n
}

func openEngine(t testing.TB, url string, logger *zap.Logger) *redis.Engine {
	t.Helper()
	engine, err := redis.Open(redis.Options{URL: url, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// server is a Redis that can be stopped. It keeps nothing.
type server struct {
	*place
	redis *harness.Redis
}

func (s server) Stop(t testing.TB) {
	if err := s.redis.Kill(); err != nil {
		t.Fatal(err)
	}
}
func (s server) Start(testing.TB) { s.redis.Start() }
func (s server) KeepsAll() bool   { return false }

func url(r *harness.Redis) string { return "redis://" + r.Addr }

// suite runs against a server of the test's own.
func suite(t testing.TB) storetest.Suite {
	r := harness.StartRedis(t)
	return storetest.Suite{Shared: true, New: func(t testing.TB) storetest.Place { return server{newPlace(t, url(r)), r} }}
}

func TestSec_S201_S202_S203_S213_S219_S226_Redis(t *testing.T) { suite(t).Run(t) }

func BenchmarkRedis(b *testing.B) { suite(b).Bench(b) }

// S-227: a Redis that drops what it likes is not used, whenever that is set, and
// says so. The gateway starts all the same.
func TestSec_S227_EvictingRedisIsUnavailable(t *testing.T) {
	p := newPlace(t, url(harness.StartRedis(t)))
	for _, policy := range []string{"allkeys-lru", "volatile-ttl", "allkeys-random"} {
		t.Run(policy, func(t *testing.T) {
			p.do(t, "CONFIG", "SET", "maxmemory-policy", policy)
			core, logs := observer.New(zap.InfoLevel)
			engine := openEngine(t, p.url, zap.New(core))
			defer engine.Close()
			harness.Eventually(t, patience, func() string {
				_, err := engine.Get(t.Context(), "grant", store.Hash{})
				if err == nil || errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), policy) {
					return "Get does not name the policy"
				}
				return ""
			})
			if lines := logs.FilterLevelExact(zap.ErrorLevel).Len(); lines != 1 {
				t.Errorf("%d lines at level error, want one a minute", lines)
			}
			p.do(t, "CONFIG", "SET", "maxmemory-policy", "noeviction")
			harness.Eventually(t, patience, func() string {
				if _, err := engine.Get(t.Context(), "grant", store.Hash{}); !errors.Is(err, store.ErrNotFound) {
					return "not used although the policy is right again: " + err.Error()
				}
				return ""
			})
		})
	}
}

func TestRedisWithoutAOFIsWarnedAbout(t *testing.T) {
	p := newPlace(t, url(harness.StartRedis(t)))
	for setting, want := range map[string]int{"no": 1, "yes": 0} {
		t.Run("appendonly "+setting, func(t *testing.T) {
			p.do(t, "CONFIG", "SET", "appendonly", setting)
			core, logs := observer.New(zap.InfoLevel)
			engine := openEngine(t, p.url, zap.New(core))
			defer engine.Close()
			harness.Eventually(t, patience, func() string {
				if logs.FilterMessageSnippet("is used").Len() == 0 || want > 0 && logs.FilterMessageSnippet("appendonly").Len() == 0 {
					return "the log does not say so"
				}
				return ""
			})
			if got := logs.FilterMessageSnippet("appendonly").Len(); got != want {
				t.Errorf("%d warnings, want %d", got, want)
			}
		})
	}
}

func TestRedisMayComeLater(t *testing.T) {
	r := harness.StartRedis(t)
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	engine := openEngine(t, url(r), nil)
	st, err := store.New(engine, store.Options{Secrets: []string{strings.Repeat("s", 32)}, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := st.Get(t.Context(), "grant", []byte("g")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	r.Start()
	harness.Eventually(t, patience, func() string {
		if _, err := st.Get(t.Context(), "grant", []byte("g")); !errors.Is(err, store.ErrNotFound) {
			return "Get: " + err.Error()
		}
		return ""
	})
}

// A Redis that hangs makes no request wait longer than its timeout.
func TestRedisThatHangsIsUnavailable(t *testing.T) {
	r := harness.StartRedis(t)
	p := newPlace(t, url(r))
	const timeout = 500 * time.Millisecond
	st, err := store.New(p.Open(t), store.Options{Secrets: []string{strings.Repeat("s", 32)}, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	hang := func(signal syscall.Signal) {
		if err := syscall.Kill(r.Pid(), signal); err != nil {
			t.Fatal(err)
		}
	}
	hang(syscall.SIGSTOP)
	for range 3 {
		began := time.Now()
		if _, err := st.Get(t.Context(), "grant", []byte("g")); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		if took := time.Since(began); took > 10*timeout {
			t.Errorf("it took %s, want about %s", took, timeout)
		}
	}
	hang(syscall.SIGCONT)
	harness.Eventually(t, patience, func() string {
		if _, err := st.Get(t.Context(), "grant", []byte("g")); !errors.Is(err, store.ErrNotFound) {
			return fmt.Sprint("Get: ", err)
		}
		return ""
	})
}

// A list goes on where it was although many expire at the same moment.
func TestListAmongEqualExpiries(t *testing.T) {
	p := newPlace(t, url(harness.StartRedis(t)))
	st, err := store.New(p.Open(t), store.Options{Secrets: []string{strings.Repeat("s", 32)}, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	alice := store.Entry{Kind: "subject", Value: []byte("alice")}
	const all = 60
	for i := range all {
		if err := st.Commit(t.Context(), store.Create(store.Record{
			Kind: "token", Key: []byte{byte(i)}, Expires: store.Forever, Index: []store.Entry{alice},
		})); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[byte]bool{}
	var after []byte
	for range all {
		records, next, err := st.List(t.Context(), "token", alice, after, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if seen[r.Key[0]] {
				t.Errorf("%d was listed twice", r.Key[0])
			}
			seen[r.Key[0]] = true
		}
		if after = next; after == nil {
			break
		}
	}
	if len(seen) != all {
		t.Errorf("%d were listed, want %d", len(seen), all)
	}
}

func TestOpenRefuses(t *testing.T) {
	for address, want := range map[string]string{
		"redis://user:secret%zz@a.example": "percent-encoded",
		"http://user:secret@a.example":     "not a URL of a Redis",
		"redis://secret@a.example/x":       "not a URL of a Redis",
		"redis://a.example?skip_verify=1":  `"skip_verify"`,
		"redis://a.example?max_retries=9":  `"max_retries"`,
	} {
		engine, err := redis.Open(redis.Options{URL: address})
		if err == nil {
			engine.Close()
			t.Errorf("%s was not refused", address)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want %q and no secret", address, err, want)
		}
	}
}
