// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/jose"
)

// Algorithms that the gateway signs with. AlgorithmNone makes a token without a
// signature, for upstreams that still expect that form.
const (
	AlgorithmES256 = "ES256"
	AlgorithmRS256 = "RS256"
	AlgorithmEdDSA = "EdDSA"
	AlgorithmNone  = "none"
)

const (
	// MaxLifetime is how long a signed token is valid at most, and so how long
	// a key is published after its last use. A token that the original one
	// outlives is signed again: see Signed.RenewAt.
	MaxLifetime = time.Hour

	// PublishLead is how long a new key is published before it is used, and how
	// long upstreams may keep the key set.
	PublishLead = 5 * time.Minute

	// keepFor is how long a published set may be kept: no longer than it takes
	// until a key is used that a gateway which does not know it yet has left
	// out of the set.
	keepFor = PublishLead - pollInterval - clockSkew

	// clockSkew between gateways, and between them and the upstreams.
	clockSkew = time.Minute

	// retention is how long a key is published after another took its place;
	// a gateway that shares the storage may learn of it a little later.
	retention = MaxLifetime + pollInterval + clockSkew
)

// DefaultIssuer is the `iss` of signed tokens unless one is configured. It is
// a name and not a URL because nothing in a configuration says under which
// address an upstream knows the gateway, and a request must not.
const DefaultIssuer = "gluu-gateway"

var (
	// ErrNotReady says that there is no key yet: the storage has not answered
	// since the start. The client is not at fault and must not be refused for
	// it.
	ErrNotReady = errors.New("the signing key is not available yet")

	// ErrCannotRotate says that keys cannot be rotated, for a reason other than
	// the storage.
	ErrCannotRotate = errors.New("the signing key cannot be rotated")

	// ErrExpired says that the token to sign for has expired.
	ErrExpired = errors.New("the token has expired")
)

// SignerConfig is what a Signer needs.
type SignerConfig struct {
	// Storage keeps the keys in use and those that are only published. Gateways
	// that share it share the keys.
	Storage certmagic.Storage

	// KeyFile is a private key, PEM or JWK, to sign with instead of a generated
	// one. A changed file is noticed within a minute.
	KeyFile string

	// Issuer is the `iss` of what is signed; DefaultIssuer if empty.
	Issuer string

	// RotateEvery makes a new key after this time; zero: only when asked to.
	RotateEvery time.Duration

	// Memory, if not nil, keeps the keys from one configuration to the next, so
	// that a reload does not depend on the storage.
	Memory *Memory

	// Logger is told of changes, and of failures of the storage.
	Logger *zap.Logger

	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Memory holds keys while configurations come and go. It belongs to one storage
// and must not be used with another.
type Memory struct{ ring atomic.Pointer[keyRing] }

// Signer signs with the gateway's own key. Keys come from a file or are made
// when they are first needed, and are kept in a storage.
//
// Nothing that a request does touches the storage: requests see the keys that
// the background task has read, at the start and every minute. Until the
// storage has answered for the first time Sign returns ErrNotReady.
type Signer struct {
	config SignerConfig
	now    func() time.Time
	log    *zap.Logger
	memory *Memory

	mu       sync.Mutex
	required map[string]bool // algorithms
	file     *ringKey        // the key in KeyFile; nil without one

	syncing  sync.Mutex // held while the storage is read and written
	snapshot atomic.Pointer[snapshot]
	cancel   context.CancelFunc
}

// snapshot is what requests see.
type snapshot struct {
	ring  *keyRing
	jwks  JWKS
	stale time.Time // when a key is due to leave the set
}

// NewSigner returns a Signer that does nothing before Start is called. It is an
// error if the key file cannot be used.
func NewSigner(config SignerConfig) (*Signer, error) {
	s := &Signer{
		config: config, now: config.Now, log: config.Logger, memory: config.Memory,
		required: make(map[string]bool),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.memory == nil {
		s.memory = new(Memory)
	}
	if s.config.Issuer == "" {
		s.config.Issuer = DefaultIssuer
	}
	if config.KeyFile != "" {
		key, err := s.readKeyFile()
		if err != nil {
			return nil, err
		}
		s.file = &key
		if info, err := os.Stat(config.KeyFile); err == nil && info.Mode().Perm()&0o007 != 0 {
			s.log.Warn("everybody on this machine can read the signing key: chmod 600", zap.String("file", config.KeyFile))
		}
	}
	switch ring := s.memory.ring.Load(); {
	case ring != nil:
		s.publish(ring)
	case s.file != nil:
		// Signing need not wait for the storage, in which there may only be
		// keys of the past.
		s.snapshot.Store(s.snapshotOf(&keyRing{[]ringKey{*s.file}}))
	}
	return s, nil
}

func (s *Signer) readKeyFile() (ringKey, error) {
	private, err := jose.ReadPrivateKey(s.config.KeyFile)
	if err != nil {
		return ringKey{}, fmt.Errorf("signing_key: %w", err)
	}
	alg := private.Algorithm()
	if !slices.Contains([]string{AlgorithmES256, AlgorithmRS256, AlgorithmEdDSA}, alg) {
		return ringKey{}, fmt.Errorf("signing_key: %s holds a key for %s: use an EC key on P-256 (ES256), an RSA key (RS256) or an Ed25519 key (EdDSA)", s.config.KeyFile, alg)
	}
	return newRingKey(private, alg, s.now(), true)
}

// Require says, while a configuration is being provisioned, that tokens will be
// signed with this algorithm, "" being the default. It returns the algorithm
// to sign with, and an error if the gateway cannot.
func (s *Signer) Require(alg string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if alg == "" {
		alg = AlgorithmES256
		if s.file != nil {
			alg = s.file.alg
		}
	}
	switch alg {
	case AlgorithmNone:
		return alg, nil
	case AlgorithmES256, AlgorithmRS256, AlgorithmEdDSA:
	default:
		return "", fmt.Errorf("the gateway does not sign with %q: write ES256, RS256, EdDSA or none", alg)
	}
	if s.file != nil && s.file.alg != alg {
		return "", fmt.Errorf("signing_key %s is a key for %s, so nothing can be signed with %s: write %[2]s, or give another key", s.config.KeyFile, s.file.alg, alg)
	}
	s.required[alg] = true
	return alg, nil
}

// Types of what is signed, so that one is never taken for the other (RFC 8725,
// section 3.11): a header says something about a caller, a phantom token is a
// credential, a claim token tells an authorization server about a person.
const (
	TypePhantomToken = "JWT"
	TypeHeader       = "header+jwt"
	TypeClaimToken   = "claim-token+jwt"
)

// SignRequest is what to sign.
type SignRequest struct {
	// Claims are the claims of the original token. They are not changed. Of the
	// registered ones `iss`, `iat`, `exp` and `jti` are replaced. `cnf` is left
	// out: the gateway has checked it, and no upstream can.
	Claims map[string]any

	// OriginalIssuer is the issuer that vouches for the claims. It becomes
	// `original_iss`, without which a subject or client is ambiguous. Empty:
	// the `iss` among the claims.
	OriginalIssuer string

	// Type is the `typ` of the JWT: TypePhantomToken, which is the default,
	// TypeHeader or TypeClaimToken.
	Type string

	// Algorithm to sign with, as Require has returned it.
	Algorithm string

	// NotAfter is the end of the original token; zero if it has none.
	NotAfter time.Time
}

// Signed is a signed token, to be kept as long as the token it was made for.
type Signed struct {
	Token     string
	ExpiresAt time.Time

	// RenewAt is when to sign again, if the original token is still in use.
	// It is ExpiresAt for a token that cannot be renewed.
	RenewAt time.Time
}

// Sign returns the claims as a JWT. It never waits for anything.
func (s *Signer) Sign(req SignRequest) (*Signed, error) {
	now := s.now()
	signed := &Signed{ExpiresAt: now.Add(MaxLifetime).Truncate(time.Second), RenewAt: now.Add(MaxLifetime / 2)}
	if !req.NotAfter.IsZero() && req.NotAfter.Before(signed.ExpiresAt) {
		signed.ExpiresAt = req.NotAfter.Truncate(time.Second) // never later
		signed.RenewAt = signed.ExpiresAt
	}
	if !signed.ExpiresAt.After(now) {
		return nil, ErrExpired
	}
	claims, err := json.Marshal(s.claims(req, now, signed.ExpiresAt))
	if err != nil {
		return nil, fmt.Errorf("encoding claims: %w", err)
	}
	signed.Token, err = s.sign(claims, req.Algorithm, cmp.Or(req.Type, TypePhantomToken), now)
	if err != nil {
		return nil, err
	}
	return signed, nil
}

func (s *Signer) claims(req SignRequest, now, exp time.Time) map[string]any {
	claims := maps.Clone(req.Claims)
	if claims == nil {
		claims = make(map[string]any)
	}
	if req.OriginalIssuer == "" {
		req.OriginalIssuer, _ = claims["iss"].(string)
	}
	delete(claims, "original_iss") // is the gateway's to say, not a token's
	if req.OriginalIssuer != "" {
		claims["original_iss"] = req.OriginalIssuer
	}
	delete(claims, "cnf")
	claims["iss"] = s.config.Issuer
	claims["iat"] = now.Unix()
	claims["exp"] = exp.Unix()
	claims["jti"] = rand.Text()
	return claims
}

func (s *Signer) sign(claims []byte, alg, typ string, now time.Time) (string, error) {
	if alg == AlgorithmNone {
		return unsigned(claims, typ), nil
	}
	snap := s.snapshot.Load()
	if snap == nil {
		return "", ErrNotReady
	}
	key, ok := snap.ring.current(alg, now)
	if !ok {
		return "", ErrNotReady
	}
	return jose.Sign(claims, *key.private, alg, key.public.ID(), typ)
}

// unsigned returns an unsecured JWT (RFC 7519, section 6). An upstream that
// accepts it trusts anyone who can reach it.
func unsigned(claims []byte, typ string) string {
	header := fmt.Sprintf(`{"alg":"none","typ":%q}`, typ)
	b64 := base64.RawURLEncoding
	return b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString(claims) + "."
}

// JWKS is a published key set.
type JWKS struct {
	Body   []byte
	ETag   string
	MaxAge time.Duration // how long it may be kept
}

// JWKS returns the public keys with which a token of this gateway may be signed
// now or soon. The error is ErrNotReady or nil.
func (s *Signer) JWKS() (JWKS, error) {
	snap := s.snapshot.Load()
	if snap == nil {
		return JWKS{}, ErrNotReady
	}
	if !s.now().Before(snap.stale) {
		// Only if the background task has not published another ring meanwhile.
		fresh := s.snapshotOf(snap.ring)
		s.snapshot.CompareAndSwap(snap, fresh)
		snap = fresh
	}
	return snap.jwks, nil
}

// publish makes a ring what requests see.
func (s *Signer) publish(ring *keyRing) {
	s.snapshot.Store(s.snapshotOf(ring))
	s.memory.ring.Store(ring)
}

func (s *Signer) snapshotOf(ring *keyRing) *snapshot {
	now := s.now()
	snap := &snapshot{ring: ring, stale: now.Add(PublishLead)}
	body, err := jose.PublicKeySet(ring.published(now)...)
	if err != nil {
		// A ring holds only parsed keys, and those can be written.
		s.log.Error("publishing signing keys", zap.Error(err))
		body = []byte(`{"keys":[]}`)
	}
	maxAge := keepFor
	if len(ring.published(now)) == 0 {
		maxAge = 0 // the first key of all is used at once
	}
	sum := sha256.Sum256(body)
	snap.jwks = JWKS{Body: body, ETag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, MaxAge: maxAge}
	for _, k := range ring.keys {
		if k.until.After(now) && k.until.Before(snap.stale) {
			snap.stale = k.until
		}
	}
	return snap
}
