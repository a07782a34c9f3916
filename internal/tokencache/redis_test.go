// SPDX-License-Identifier: Apache-2.0

package tokencache

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-gluu/gateway/internal/redistest"
)

func TestRedisSharesWhatWasVerified(t *testing.T) {
	redis := redistest.Start(t)
	server := newIssuer()
	server.answer(active(`"cnf":{"x5t#S256":"k"},"x":{"y":[1,2.50]}`))
	a, b := gatewayOn(t, server, redis.URL()), gatewayOn(t, server, redis.URL())
	want, got := mustVerify(t, a, "token"), mustVerify(t, b, "token")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	mustVerify(t, b, "token")
	if n := server.count(); n != 1 {
		t.Errorf("%d introspections, want 1", n)
	}

	// What is there has an end, which Redis keeps too.
	client := redis.Client()
	keys := recordKeys(t, client)
	if len(keys) != 1 {
		t.Fatalf("%d records, want 1", len(keys))
	}
	left, err := client.Do(t.Context(), client.B().Pttl().Key(keys[0]).Build()).AsInt64()
	if ms := time.Duration(left) * time.Millisecond; err != nil || ms <= 0 || ms > testMaxAge {
		t.Errorf("the record lasts for %s more (%v), want max_age at most", ms, err)
	}
}

// Refusals are not shared: they last for seconds, and made-up tokens must not
// fill what gateways share.
func TestRedisKeepsNoRefusals(t *testing.T) {
	redis := redistest.Start(t)
	server := newIssuer()
	p := gatewayOn(t, server, redis.URL())
	for i := range 50 {
		refuses(t, p, fmt.Sprint("made up ", i))
	}
	if keys := recordKeys(t, redis.Client()); len(keys) != 0 {
		t.Errorf("%d records, want none", len(keys))
	}
}

func TestRevocationsReachAllGateways(t *testing.T) {
	redis := redistest.Start(t)
	for name, test := range map[string]struct {
		what    Selection
		revokes bool // whether it revokes the token of alice and app
	}{
		"token":           {One("token"), true},
		"client":          {OfClient("app"), true},
		"subject":         {OfSubject("alice"), true},
		"all":             {All(), true},
		"another token":   {One("token2"), false},
		"another client":  {OfClient("alice"), false},
		"another subject": {OfSubject("app"), false},
	} {
		t.Run(name, func(t *testing.T) {
			server := newIssuer()
			server.answer(`{"active":true,"client_id":"app","sub":"alice"}`)
			a, b, c := gatewayOn(t, server, redis.URL()), gatewayOn(t, server, redis.URL()), gatewayOn(t, server, redis.URL())
			mustVerify(t, a, "token")
			mustVerify(t, b, "token")
			server.answer(inactive)
			began := time.Now()
			revoke(t, a, test.what)
			if !test.revokes {
				for _, p := range []*gateway{a, b, c} {
					mustVerify(t, p, "token")
				}
				return
			}
			refuses(t, a, "token")
			redistest.Eventually(t, "the other gateway has heard of it", func() bool {
				positive, _ := b.cache.Sizes()
				return positive == 0
			})
			t.Logf("known to the other gateway after %s", time.Since(began))
			refuses(t, b, "token")
			// And c, which did not know the token, does not find it in Redis.
			redistest.Eventually(t, "the third gateway has heard of it", func() bool {
				return c.store().revoked.position() == a.store().revoked.position()
			})
			refuses(t, c, "token")
		})
	}
}

// A gateway that starts after a revocation also knows of it.
func TestRevocationsAreKnownToNewGateways(t *testing.T) {
	redis := redistest.Start(t)
	server := newIssuer()
	server.answer(`{"active":true,"client_id":"app"}`)
	a := gatewayOn(t, server, redis.URL())
	mustVerify(t, a, "revoked")
	log := &a.store().revoked
	before := log.position()
	revoke(t, a, OfClient("app"))
	// What is verified before a gateway has read its own revocation counts as
	// older than it.
	redistest.Eventually(t, "the gateway has read its own revocation", func() bool { return log.position() != before })
	mustVerify(t, a, "issued later")
	server.answer(inactive)
	b := gatewayOn(t, server, redis.URL())
	mustVerify(t, b, "issued later")
	refuses(t, b, "revoked")
}

// unplug disconnects a gateway from Redis, as a broken network would, until the
// returned function is called.
func unplug(t *testing.T, p *gateway) (join func()) {
	t.Helper()
	store := p.store()
	store.cancel()
	<-store.ended
	store.markDown(errNotConnected)
	return func() {
		store.start()
		waitFor(t, p, SharedOK)
	}
}

// A revocation holds at a gateway that was not connected when it was made, as
// soon as it is connected again; what was not revoked stays.
func TestRevocationsAreCaughtUpWith(t *testing.T) {
	redis := redistest.Start(t)
	server := newIssuer()
	server.answerAbout(func(raw string) string { return fmt.Sprintf(`{"active":true,"client_id":%q}`, raw) })
	a, b := gatewayOn(t, server, redis.URL()), gatewayOn(t, server, redis.URL())
	for _, token := range []string{"one", "two"} {
		mustVerify(t, a, token)
		mustVerify(t, b, token)
	}
	join := unplug(t, b)
	revoke(t, a, OfClient("one"))
	mustVerify(t, b, "one") // on its own
	asked := server.count()
	join()
	redistest.Eventually(t, "only the revoked token is forgotten", func() bool {
		positive, _ := b.cache.Sizes()
		return positive == 1
	})
	mustVerify(t, b, "two")
	if n := server.count(); n != asked {
		t.Errorf("the token that was not revoked was asked about %d times more", n-asked)
	}
	server.answer(inactive)
	refuses(t, b, "one")
}

// Redis may come back without what it was told. What that was is unknown, so all
// tokens are verified again, once.
func TestRedisThatForgot(t *testing.T) {
	redis := redistest.Start(t)
	server := newIssuer()
	server.answer(active(""))
	a, b := gatewayOn(t, server, redis.URL()), gatewayOn(t, server, redis.URL())
	mustVerify(t, a, "token")
	mustVerify(t, b, "token")
	redis.Kill()
	for _, p := range []*gateway{a, b} {
		waitFor(t, p, SharedUnavailable)
		mustVerify(t, p, "token")
	}
	mustVerify(t, b, "new in the meantime")
	redis.Restart()
	server.answer(inactive)
	for _, p := range []*gateway{a, b} {
		waitFor(t, p, SharedOK)
		refuses(t, p, "token")
	}
	server.answer(active(""))
	mustVerify(t, a, "later")
	n := server.count()
	mustVerify(t, b, "later")
	if got := server.count(); got != n {
		t.Error("Redis is not used after its return")
	}
}

// A revocation that could not be written to Redis waits, and until it is written
// this gateway takes nothing from Redis.
func TestRevocationsWaitForRedis(t *testing.T) {
	redis := redistest.Start(t)
	server := newIssuer()
	server.answer(`{"active":true,"client_id":"app"}`)
	a, b := gatewayOn(t, server, redis.URL()), gatewayOn(t, server, redis.URL())
	mustVerify(t, a, "token")
	mustVerify(t, b, "token")
	server.answer(inactive)

	resume := redis.Hang()
	_, err := a.cache.Forget(t.Context(), OfClient("app"), nil)
	if err == nil || !strings.Contains(err.Error(), "this gateway only") {
		t.Errorf("got %v, want an error that says where it holds", err)
	}
	if f := a.cache.Status().Shared; f.State != SharedUnavailable || f.Waiting != 1 {
		t.Errorf("got %+v, want one revocation waiting", f)
	}
	refuses(t, a, "token")
	mustVerify(t, b, "token") // it could not be told

	resume()
	waitFor(t, a, SharedOK)
	redistest.Eventually(t, "the other gateway has heard of it", func() bool {
		positive, _ := b.cache.Sizes()
		return positive == 0
	})
	refuses(t, b, "token")
	if f := a.cache.Status().Shared; f.Waiting != 0 {
		t.Errorf("got %+v, want none waiting", f)
	}
}

// The first requests after Redis stopped answering wait for a moment, those
// after them not at all.
func TestRedisThatHangsDelaysNoRequest(t *testing.T) {
	redis := redistest.Start(t)
	server := newIssuer()
	server.answer(active(""))
	p := gatewayOn(t, server, redis.URL())
	defer redis.Hang()()
	began := time.Now()
	mustVerify(t, p, "first")
	first := time.Since(began)
	began = time.Now()
	const n = 50
	for i := range n {
		mustVerify(t, p, fmt.Sprint("token ", i))
	}
	rest := time.Since(began)
	t.Logf("first %s, the %d after it %s", first, n, rest)
	if first > 10*redisPatience {
		t.Errorf("the first request waited for %s", first)
	}
	if rest > n*redisPatience/2 {
		t.Errorf("%d requests took %s: they waited for Redis", n, rest)
	}
}

func TestLoadsWithoutRedis(t *testing.T) {
	server := newIssuer()
	server.answer(active(""))
	p := gatewayWith(cacheFor(t, on("redis://127.0.0.1:1")), server)
	mustVerify(t, p, "token")
	if f := p.cache.Status().Shared; f.State != SharedUnavailable {
		t.Errorf("got %+v", f)
	}
}

func TestManyGatewaysAtOnce(t *testing.T) {
	redis := redistest.Start(t)
	server := newIssuer()
	server.answer(active(""))
	gateways := []*gateway{gatewayOn(t, server, redis.URL()), gatewayOn(t, server, redis.URL()), gatewayOn(t, server, redis.URL())}
	var all sync.WaitGroup
	for _, p := range gateways {
		for range 4 {
			all.Go(func() {
				for i := range 100 {
					if _, err := p.Verify(t.Context(), fmt.Sprint(i)); err != nil {
						t.Error(err)
					}
					if i%25 == 0 {
						_, _ = p.cache.Forget(t.Context(), One(fmt.Sprint(i)), nil)
					}
				}
			})
		}
	}
	all.Wait()
}

// S-54: read access to Redis shows no token, and nothing about its owner.
func TestSec_S54_RedisHoldsNoToken(t *testing.T) {
	redis := redistest.Start(t)
	server := newIssuer()
	server.answer(`{"active":true,"client_id":"client-7f3a","sub":"subject-91bc","scope":"scope-55de"}`)
	p := gatewayOn(t, server, redis.URL())
	const token = "token-0123456789abcdef"
	mustVerify(t, p, token)
	revoke(t, p, One(token))
	revoke(t, p, OfClient("client-7f3a"))
	revoke(t, p, OfSubject("subject-91bc"))
	mustVerify(t, p, token)

	client := redis.Client()
	keys, err := client.Do(t.Context(), client.B().Keys().Pattern("*").Build()).AsStrSlice()
	if err != nil || len(keys) != 2 {
		t.Fatalf("keys %q (%v), want the log and a record", keys, err)
	}
	var dump strings.Builder
	for _, key := range keys {
		value, err := client.Do(t.Context(), client.B().Dump().Key(key).Build()).ToString()
		if err != nil {
			t.Fatal(err)
		}
		dump.WriteString(key + value)
	}
	entries, err := client.Do(t.Context(), client.B().Xrange().Key(p.store().seal.logKey()).Start("-").End("+").Build()).AsXRange()
	if err != nil || len(entries) != 4 {
		t.Fatalf("%d entries in the log (%v), want its beginning and three revocations", len(entries), err)
	}
	for _, entry := range entries {
		dump.WriteString(entry.FieldValues[logField])
	}
	for _, secret := range []string{token, token[6:], "client-7f3a", "subject-91bc", "scope-55de", "active", testRedisKey} {
		for _, form := range []string{secret, hex.EncodeToString([]byte(secret))} {
			if strings.Contains(dump.String(), form) {
				t.Errorf("%q is in Redis", secret)
			}
		}
	}
}

// S-56: write access to Redis does not allow forging identities.
func TestSec_S56_ForgedRecordsAreMisses(t *testing.T) {
	redis := redistest.Start(t)
	server := newIssuer()
	server.answerAbout(func(raw string) string {
		if strings.HasPrefix(raw, "good") {
			return fmt.Sprintf(`{"active":true,"client_id":"app","sub":%q}`, raw)
		}
		return inactive
	})
	clock := newTestClock()
	a := clock.on(gatewayOn(t, server, redis.URL()))
	store := a.store()
	store.now = clock.now
	client := redis.Client()
	key := func(token string) string { return store.seal.recordKey(a.recordID(token)) }
	read := func(key string) []byte {
		value, err := client.Do(t.Context(), client.B().Get().Key(key).Build()).AsBytes()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	write := func(key string, value []byte) {
		if err := client.Do(t.Context(), client.B().Set().Key(key).Value(rueidis.BinaryString(value)).Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	good := mustVerify(t, a, "good")
	sealed := read(key("good"))
	plain, _ := encodeRecord(good, clock.now())
	changed := func(at int) []byte {
		value := append([]byte(nil), sealed...)
		value[(at+len(value))%len(value)] ^= 1
		return value
	}
	other, err := newSealer("another key of thirty-two bytes..")
	if err != nil {
		t.Fatal(err)
	}
	record := fmt.Appendf(nil, `{"since":{"run":%q,"id":{"t":99999999999999,"n":0}},"record":%s}`, store.revoked.position().Run, plain)
	for name, value := range map[string][]byte{
		"plain":                      plain,
		"empty":                      {},
		"short":                      sealed[:20],
		"huge":                       make([]byte, 8<<20),
		"of another token":           sealed,
		"of another token, longer":   append(append([]byte(nil), sealed...), 0),
		"changed version":            changed(0),
		"changed end":                changed(8),
		"changed nonce":              changed(12),
		"changed text":               changed(50),
		"changed tag":                changed(-1),
		"sealed with another key":    other.sealRecord(key("bad"), a.recordID("bad").Settings, clock.now().Add(time.Hour), record),
		"sealed for other settings":  store.seal.sealRecord(key("bad"), [32]byte{1}, clock.now().Add(time.Hour), record),
		"sealed, of an unknown time": store.seal.sealRecord(key("bad"), a.recordID("bad").Settings, clock.now().Add(time.Hour), []byte(`{"record":{}}`)),
	} {
		t.Run(name, func(t *testing.T) {
			write(key("bad"), value)
			refuses(t, a, "bad")
			a.cache.forget(All(), nil)
		})
	}
	t.Run("the same record, as a gateway seals it", func(t *testing.T) {
		write(key("bad"), store.seal.sealRecord(key("bad"), a.recordID("bad").Settings, clock.now().Add(time.Hour), record))
		mustVerify(t, a, "bad")
		a.cache.forget(All(), nil)
	})
	t.Run("put back after its time", func(t *testing.T) {
		n := server.count()
		clock.advance(testMaxAge)
		write(key("good"), sealed)
		mustVerify(t, a, "good")
		if got := server.count(); got != n+1 {
			t.Errorf("%d introspections, want one more: the record has ended", got-n)
		}
	})
	t.Run("put back after its revocation", func(t *testing.T) {
		sealed := read(key("good"))
		revoke(t, a, One("good"))
		write(key("good"), sealed)
		n := server.count()
		mustVerify(t, a, "good")
		if got := server.count(); got != n+1 {
			t.Errorf("%d introspections, want one more: the token was revoked", got-n)
		}
	})
	t.Run("forged revocations", func(t *testing.T) {
		at := store.revoked.position()
		for _, value := range []string{"", "x", string(other.sealEntry(revocation{Kind: allTokens}.encode())), revokedText()} {
			if err := client.Do(t.Context(), client.B().Xadd().Key(store.seal.logKey()).Id("*").FieldValue().
				FieldValue(logField, value).Build()).Error(); err != nil {
				t.Fatal(err)
			}
		}
		redistest.Eventually(t, "the entries were read", func() bool { return at.ID.before(store.revoked.position().ID) })
		n := server.count()
		mustVerify(t, a, "good")
		if got := server.count(); got != n {
			t.Error("a token was forgotten because of an entry that no gateway wrote")
		}
	})
}

func revokedText() string { return string(revocation{Kind: allTokens}.encode()) }

func TestSealNamesEveryPart(t *testing.T) {
	s, err := newSealer(testRedisKey)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]RecordID{}
	for _, id := range []RecordID{
		{[32]byte{}, ""}, {[32]byte{}, "a"}, {[32]byte{}, "a\x00"}, {[32]byte{1}, "a"}, {[32]byte{31: 'a'}, ""}, {[32]byte{}, "\x00a"},
	} {
		key := s.recordKey(id)
		if other, twice := seen[key]; twice {
			t.Errorf("%v and %v have the same key", id, other)
		}
		seen[key] = id
	}
}
