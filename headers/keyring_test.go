// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"slices"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/jose"
)

var planTime = time.Unix(1_900_000_000, 0)

// planKey is a new key that is used from an age ago; a negative age is ahead.
func planKey(t *testing.T, age time.Duration, file bool) ringKey {
	t.Helper()
	private, err := jose.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	key, err := newRingKey(private, "ES256", planTime.Add(-age), file)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// waits returns how long the keys that a plan adds wait before they are used.
func waits(p plan) (waits []time.Duration) {
	for _, a := range p.add {
		waits = append(waits, a.useFrom.Sub(planTime))
	}
	return waits
}

func TestDueKeysArePlanned(t *testing.T) {
	const day = 24 * time.Hour
	young, old, next := planKey(t, time.Hour, false), planKey(t, day, false), planKey(t, -time.Minute, false)
	file, otherFile := planKey(t, time.Hour, true), planKey(t, time.Hour, true)
	expired := planKey(t, 3*day, false)
	expired.until = planTime
	for _, test := range []struct {
		name  string
		ring  []ringKey
		want  upkeep
		waits []time.Duration
		prune bool
	}{
		{"no key yet", nil, upkeep{algorithms: []string{"ES256", "RS256"}}, []time.Duration{0, 0}, false},
		{"a key that is young enough", []ringKey{young}, upkeep{algorithms: []string{"ES256"}, rotateEvery: day}, nil, false},
		{"a key that is too old", []ringKey{old}, upkeep{algorithms: []string{"ES256"}, rotateEvery: day}, []time.Duration{PublishLead}, false},
		{"an old key that is kept", []ringKey{old}, upkeep{algorithms: []string{"ES256"}}, nil, false},
		{"an old key whose successor waits", []ringKey{old, next}, upkeep{algorithms: []string{"ES256"}, rotateEvery: day}, nil, false},
		{"an expired key", []ringKey{expired, young}, upkeep{algorithms: []string{"ES256"}}, nil, true},
		{"a key file, first key", nil, upkeep{file: &file}, []time.Duration{0}, false},
		{"a key file that is known", []ringKey{file}, upkeep{file: &file}, nil, false},
		{"a key file that was replaced", []ringKey{otherFile}, upkeep{file: &file}, []time.Duration{PublishLead}, false},
		{"a key file that was removed", []ringKey{file}, upkeep{algorithms: []string{"ES256"}}, []time.Duration{PublishLead}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := due(&keyRing{test.ring}, test.want, planTime)
			if got := waits(p); !slices.Equal(got, test.waits) || p.prune != test.prune || p.restore != nil {
				t.Errorf("got new keys after %v, prune %v, restore %v; want %v, %v, none", got, p.prune, p.restore != nil, test.waits, test.prune)
			}
		})
	}
}

func TestALostRingIsRestored(t *testing.T) {
	known := &keyRing{[]ringKey{planKey(t, time.Hour, false)}}
	if p := due(&keyRing{}, upkeep{known: known, algorithms: []string{"ES256"}}, planTime); p.restore != known || len(p.add) > 0 {
		t.Errorf("got %d new keys, restore %v; want the known ring and no new key", len(p.add), p.restore)
	}
}

func TestRotationIsPlanned(t *testing.T) {
	inUse, next := planKey(t, time.Hour, false), planKey(t, -time.Minute, false)
	for _, test := range []struct {
		name        string
		ring        []ringKey
		immediately bool
		waits       []time.Duration
	}{
		{"gracefully", []ringKey{inUse}, false, []time.Duration{PublishLead}},
		{"gracefully, while a key waits", []ringKey{inUse, next}, false, nil},
		{"immediately", []ringKey{inUse}, true, []time.Duration{0}},
		{"immediately, while a key waits", []ringKey{inUse, next}, true, []time.Duration{0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := waits(rotation(&keyRing{test.ring}, []string{"ES256"}, test.immediately, planTime)); !slices.Equal(got, test.waits) {
				t.Errorf("new keys wait %v, want %v", got, test.waits)
			}
		})
	}
}
