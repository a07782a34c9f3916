// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-gluu/gateway/jose"
)

// A key ring holds all keys that the gateway signs with, has signed with or is
// going to sign with. Two times say what is done with each of them:
//
//	published       in use        published, for tokens that are still valid
//	|---------------|-------------|--------------------|
//	added           use_from      use_from of the      until
//	                              next key
//
// A key is published before it is used, because upstreams keep the key set for
// a while and not all of them ask again when they meet a key that they do not
// know; and because gateways that share a storage learn of it one after
// another. A key goes on being published until the last token that was signed
// with it has expired.

// keyRing is immutable. Its keys are in the order in which they were added.
type keyRing struct{ keys []ringKey }

// ringKey is one key of a ring, in the form in which it is stored.
type ringKey struct {
	alg     string
	useFrom time.Time
	until   time.Time // zero as long as no other key takes its place
	public  jose.Key
	private *jose.PrivateKey // nil if only the public half is known here
	file    bool             // the private half is in a file, and is not stored
}

// maxRing bounds the ring, in case a script rotates in a loop.
const maxRing = 24

// current returns the key to sign with: the last one that was added of those
// that are in use and whose private half is known here. If none is in use yet,
// because the clock was set back, it is the first one.
func (r *keyRing) current(alg string, now time.Time) (found ringKey, ok bool) {
	for _, k := range r.keys {
		if k.alg == alg && k.private != nil && (!ok || !k.useFrom.After(now)) {
			found, ok = k, true
		}
	}
	return found, ok
}

// last returns the key that was added last, whether or not it is in use yet.
func (r *keyRing) last(alg string) (found ringKey, ok bool) {
	for _, k := range r.keys {
		if k.alg == alg {
			found, ok = k, true
		}
	}
	return found, ok
}

func (r *keyRing) find(thumbprint string) (ringKey, bool) {
	for _, k := range r.keys {
		if k.public.Thumbprint() == thumbprint {
			return k, true
		}
	}
	return ringKey{}, false
}

// with returns the ring with another key, which takes the place of all others
// of its algorithm: those are published for the retention after it is used.
func (r *keyRing) with(added ringKey, retention time.Duration) *keyRing {
	next := &keyRing{}
	for _, k := range r.keys {
		if k.public.Thumbprint() == added.public.Thumbprint() {
			continue
		}
		if k.alg == added.alg && k.until.IsZero() {
			k.until = added.useFrom.Add(retention)
		}
		next.keys = append(next.keys, k)
	}
	next.keys = append(next.keys, added)
	return next
}

// expired reports whether no valid token is signed with the key any more.
func (k ringKey) expired(now time.Time) bool {
	return !k.until.IsZero() && !now.Before(k.until)
}

// pruned returns the ring without its expired keys.
func (r *keyRing) pruned(now time.Time) *keyRing {
	return &keyRing{slices.DeleteFunc(slices.Clone(r.keys), func(k ringKey) bool { return k.expired(now) })}
}

// published returns the public halves that upstreams may need now.
func (r *keyRing) published(now time.Time) []jose.Key {
	var keys []jose.Key
	for _, k := range r.keys {
		inUse, ok := r.current(k.alg, now)
		if !k.expired(now) || (ok && inUse.public.Thumbprint() == k.public.Thumbprint()) {
			keys = append(keys, k.public)
		}
	}
	return keys
}

// Planning: what a ring needs is a function of the ring, of what the gateway
// wants of it and of the time. A plan is made without a lock, and once more
// under it: see Signer.update.

// plan is what has to change in a ring. The zero plan changes nothing.
type plan struct {
	restore *keyRing // use this one instead: the storage has lost its own
	prune   bool
	add     []addition
}

// addition is a key to add: that of the file, or one to generate.
type addition struct {
	alg     string
	useFrom time.Time
	file    *ringKey
}

func (p plan) empty() bool { return p.restore == nil && !p.prune && len(p.add) == 0 }

// upkeep is what a gateway wants of its ring.
type upkeep struct {
	known       *keyRing      // the ring in memory; nil before the first one
	file        *ringKey      // the key to sign with; nil: keys are generated
	algorithms  []string      // to have a generated key for
	rotateEvery time.Duration // the age at which a key is replaced; 0: at no age
}

// due plans what the passing of time, the configuration and the key file ask
// for.
func due(ring *keyRing, want upkeep, now time.Time) (p plan) {
	if known := want.known; len(ring.keys) == 0 && known != nil && len(known.keys) > 0 {
		p.restore, ring = known, known
	}
	p.prune = slices.ContainsFunc(ring.keys, func(k ringKey) bool { return k.expired(now) })
	if want.file != nil {
		if a, ok := dueFileKey(ring, want.file, now); ok {
			p.add = append(p.add, a)
		}
		return p
	}
	for _, alg := range want.algorithms {
		if a, ok := dueGeneratedKey(ring, alg, want.rotateEvery, now); ok {
			p.add = append(p.add, a)
		}
	}
	return p
}

// dueFileKey plans to add the key of the file if it is not the last that was
// added. It is used at once if no other key can be: after a restart the
// private half of the previous file is unknown.
func dueFileKey(ring *keyRing, file *ringKey, now time.Time) (addition, bool) {
	if last, ok := ring.last(file.alg); ok && last.public.Thumbprint() == file.public.Thumbprint() {
		return addition{}, false
	}
	a := addition{alg: file.alg, useFrom: now, file: file}
	if key, ok := ring.current(file.alg, now); ok && key.public.Thumbprint() != file.public.Thumbprint() {
		a.useFrom = now.Add(PublishLead)
	}
	return a, true
}

// dueGeneratedKey plans the first key of an algorithm, or the one that replaces
// a key that is too old or came from a file.
func dueGeneratedKey(ring *keyRing, alg string, rotateEvery time.Duration, now time.Time) (addition, bool) {
	key, ok := ring.current(alg, now)
	if !ok {
		return addition{alg: alg, useFrom: now}, true
	}
	tooOld := rotateEvery > 0 && now.Sub(key.useFrom) >= rotateEvery
	if ring.hasNext(alg, now) || !key.file && !tooOld {
		return addition{}, false
	}
	return addition{alg: alg, useFrom: now.Add(PublishLead)}, true
}

// hasNext reports whether a generated key is published but not in use yet.
func (r *keyRing) hasNext(alg string, now time.Time) bool {
	last, _ := r.last(alg)
	return last.private != nil && !last.file && last.useFrom.After(now)
}

// rotation plans a new key for each algorithm, used at once or after
// [PublishLead]. A key that already waits to be used is rotation enough, unless
// the keys cannot be trusted any more.
func rotation(ring *keyRing, algorithms []string, immediately bool, now time.Time) (p plan) {
	useFrom := now.Add(PublishLead)
	if immediately {
		useFrom = now
	}
	for _, alg := range algorithms {
		if immediately || !ring.hasNext(alg, now) {
			p.add = append(p.add, addition{alg: alg, useFrom: useFrom})
		}
	}
	return p
}

// generatedAlgorithms returns the algorithms that keys are generated for: those
// that are wanted, and those that the ring already has a generated key for.
func generatedAlgorithms(ring *keyRing, wanted []string) []string {
	algorithms := slices.Clone(wanted)
	for _, k := range ring.keys {
		if k.private != nil && !k.file && !slices.Contains(algorithms, k.alg) {
			algorithms = append(algorithms, k.alg)
		}
	}
	return algorithms
}

// storedRing is a ring as JSON. The times are seconds since the epoch.
type storedRing struct {
	Version int         `json:"version"`
	Keys    []storedKey `json:"keys"`
}

type storedKey struct {
	Alg     string          `json:"alg"`
	UseFrom int64           `json:"use_from"`
	Until   int64           `json:"until,omitempty"`
	Public  json.RawMessage `json:"public"`
	Private string          `json:"private,omitempty"` // PEM; left out if it is in a file
}

const ringVersion = 1

func (r *keyRing) marshal() ([]byte, error) {
	stored := storedRing{Version: ringVersion, Keys: []storedKey{}}
	for _, k := range r.keys {
		public, err := k.public.MarshalJSON()
		if err != nil {
			return nil, err
		}
		s := storedKey{Alg: k.alg, UseFrom: k.useFrom.Unix(), Public: public}
		if !k.until.IsZero() {
			s.Until = k.until.Unix()
		}
		if k.private != nil && !k.file {
			pem, err := k.private.MarshalPEM()
			if err != nil {
				return nil, err
			}
			s.Private = string(pem)
		}
		stored.Keys = append(stored.Keys, s)
	}
	return json.Marshal(stored)
}

// parseRing reads a stored ring. It is all or nothing: a ring with an
// unreadable key was written by something else, and dropping the key would
// invalidate the tokens signed with it.
func parseRing(data []byte) (*keyRing, error) {
	var stored storedRing
	if err := json.Unmarshal(data, &stored); err != nil {
		return nil, errors.New("not the signing keys of a gateway")
	}
	if stored.Version != ringVersion {
		return nil, fmt.Errorf("signing keys in format version %d, which this gateway cannot read", stored.Version)
	}
	ring := &keyRing{}
	for _, s := range stored.Keys {
		k := ringKey{alg: s.Alg, useFrom: time.Unix(s.UseFrom, 0)}
		if s.Until != 0 {
			k.until = time.Unix(s.Until, 0)
		}
		public, err := jose.ParseKey(s.Public)
		if err != nil {
			return nil, fmt.Errorf("a stored public key: %w", err)
		}
		k.public = public
		if s.Private != "" {
			private, err := jose.ParsePrivateKey([]byte(s.Private))
			if err != nil {
				return nil, fmt.Errorf("a stored private key: %w", err)
			}
			if private.Public().Thumbprint() != public.Thumbprint() {
				return nil, errors.New("a stored private key that does not belong to its public half")
			}
			k.private = &private
		}
		ring.keys = append(ring.keys, k)
	}
	return ring, nil
}

// newRingKey makes a key of the ring from a private key: its `kid` is its
// thumbprint (RFC 7638), whatever a file calls it.
func newRingKey(private jose.PrivateKey, alg string, useFrom time.Time, file bool) (ringKey, error) {
	public := private.Public()
	public, err := public.WithID(public.Thumbprint()).WithAlgorithm(alg)
	if err != nil {
		return ringKey{}, err
	}
	return ringKey{alg: alg, useFrom: useFrom, public: public, private: &private, file: file}, nil
}

// joined returns the ring with the private halves that only the other ring
// knows: those of files.
func (r *keyRing) joined(other *keyRing) *keyRing {
	next := &keyRing{slices.Clone(r.keys)}
	for i, k := range next.keys {
		if k.private != nil || other == nil {
			continue
		}
		if known, ok := other.find(k.public.Thumbprint()); ok && known.private != nil {
			next.keys[i].private, next.keys[i].file = known.private, known.file
		}
	}
	return next
}
