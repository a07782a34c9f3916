// SPDX-License-Identifier: Apache-2.0

package clientauth

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Cost of a hash that Hash makes: OWASP's first choice for argon2id,
// the same as that of `caddy hash-password`.
const (
	argonMemory  = 46 * 1024 // KiB
	argonTime    = 1
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32
)

// Bounds for hashes that come from elsewhere. A hash is checked while a
// request waits, so one that takes a gigabyte or a minute is a mistake that
// has to show when the configuration loads.
const (
	maxArgonMemory  = 256 * 1024 // KiB
	maxArgonTime    = 32
	maxArgonThreads = 16
	maxBcryptCost   = 16
	maxPBKDF2       = 1_000_000

	MaxSecret = 1024
	// bcrypt looks at no more than this and ignores the rest.
	maxBcryptSecret = 72
)

// errNotAHash says what to write instead, and never what was written: that
// may well be the secret itself.
var errNotAHash = errors.New("the secret is not an argon2id, bcrypt or PBKDF2-SHA512 hash; run: caddy gluu hash-secret, and put what it prints in its place")

// Hash returns the argon2id hash of a client secret under a random
// salt, as a PHC string ($argon2id$v=19$m=...,t=...,p=...$salt$hash). It fails
// for an empty secret and for one of more than 1,024 bytes.
func Hash(secret []byte) (string, error) {
	if len(secret) == 0 {
		return "", errors.New("the secret is empty")
	}
	if len(secret) > MaxSecret {
		return "", fmt.Errorf("the secret has %d bytes, %d is the most that a client can send", len(secret), MaxSecret)
	}
	return argon2id(secret, argonMemory), nil
}

// HashRandom is Hash for a secret of 128 random bits or more, which cannot be guessed
// however fast the hash is: a client that makes this server draw secrets does not use up its
// processors.
func HashRandom(secret string) string { return argon2id([]byte(secret), 8*argonThreads) }

func argon2id(secret []byte, memory uint32) string {
	salt := make([]byte, argonSalt)
	rand.Read(salt) // never fails, see its documentation
	key := argon2.IDKey(secret, salt, argonTime, memory, argonThreads, argonKey)
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, memory, argonTime, argonThreads, encode(salt), encode(key))
}

// Secret is the hash of one client's secret, parsed.
type Secret struct {
	text   string // as configured; unlike any other, because of its salt
	verify func(secret []byte) bool
}

// Parse reads an argon2id PHC string, a bcrypt hash, or the PBKDF2 hash that Kong makes.
// Errors never show the text.
func Parse(text string) (*Secret, error) {
	switch {
	case strings.HasPrefix(text, "$argon2id$"):
		return parseArgon2id(text)
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		return parseBcrypt(text)
	case strings.HasPrefix(text, "$pbkdf2-sha512$"):
		return parsePBKDF2(text)
	}
	return nil, errNotAHash
}

var argonPattern = regexp.MustCompile(`^\$argon2id\$v=(\d{1,3})\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$`)

func parseArgon2id(text string) (*Secret, error) {
	parts := argonPattern.FindStringSubmatch(text)
	if parts == nil {
		return nil, errors.New("the argon2id hash is incomplete; it has the form $argon2id$v=19$m=...,t=...,p=...$salt$hash, as caddy gluu hash-secret prints it")
	}
	var numbers [4]int // version, memory, time, threads
	for i := range numbers {
		n, err := strconv.Atoi(parts[i+1])
		if err != nil {
			return nil, fmt.Errorf("the argon2id hash has a parameter that is not a number: %q", parts[i+1])
		}
		numbers[i] = n
	}
	version, memory, time, threads := numbers[0], numbers[1], numbers[2], numbers[3]
	salt, saltErr := base64.RawStdEncoding.Strict().DecodeString(parts[5])
	key, keyErr := base64.RawStdEncoding.Strict().DecodeString(parts[6])
	switch {
	case saltErr != nil || keyErr != nil:
		return nil, errors.New("salt or hash of the argon2id hash are not base64; was it copied completely?")
	case version != argon2.Version:
		return nil, fmt.Errorf("the argon2id hash is of version %d, only %d is supported", version, argon2.Version)
	case threads < 1 || threads > maxArgonThreads || time < 1 || time > maxArgonTime || memory < 8*threads || memory > maxArgonMemory:
		return nil, fmt.Errorf("the argon2id hash has parameters out of bounds (m=%d,t=%d,p=%d): m is 8*p to %d KiB, t 1 to %d, p 1 to %d",
			memory, time, threads, maxArgonMemory, maxArgonTime, maxArgonThreads)
	case len(salt) < 8 || len(key) < 16 || len(key) > 64:
		return nil, fmt.Errorf("the argon2id hash has a salt of %d and a hash of %d bytes: at least 8 and 16 are required", len(salt), len(key))
	}
	return &Secret{
		text: text,
		verify: func(secret []byte) bool {
			computed := argon2.IDKey(secret, salt, uint32(time), uint32(memory), uint8(threads), uint32(len(key)))
			return subtle.ConstantTimeCompare(computed, key) == 1
		},
	}, nil
}

var bcryptPattern = regexp.MustCompile(`^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$`)

func parseBcrypt(text string) (*Secret, error) {
	cost, err := bcrypt.Cost([]byte(text))
	if err != nil || !bcryptPattern.MatchString(text) {
		return nil, errors.New("the bcrypt hash is incomplete; it has 60 characters, was it copied completely?")
	}
	if cost > maxBcryptCost {
		return nil, fmt.Errorf("the bcrypt hash has cost %d, which takes too long for a request; %d is the most", cost, maxBcryptCost)
	}
	return &Secret{
		text: text,
		verify: func(secret []byte) bool {
			// The comparison runs in any case, so that the length of
			// what was sent changes nothing about the time.
			same := bcrypt.CompareHashAndPassword([]byte(text), secret) == nil
			return same && len(secret) <= maxBcryptSecret
		},
	}, nil
}

// Kong writes the number of iterations, the salt and the key in base64 without padding:
// $pbkdf2-sha512$i=10000,l=32$salt$key.
var pbkdf2Pattern = regexp.MustCompile(`^\$pbkdf2-sha512\$i=(\d{1,7})(?:,l=(\d{1,3}))?\$([A-Za-z0-9+/]+)=*\$([A-Za-z0-9+/]+)=*$`)

func parsePBKDF2(text string) (*Secret, error) {
	parts := pbkdf2Pattern.FindStringSubmatch(text)
	if parts == nil {
		return nil, errors.New("the PBKDF2 hash is incomplete; it has the form $pbkdf2-sha512$i=...,l=...$salt$hash")
	}
	iterations, err := strconv.Atoi(parts[1])
	salt, saltErr := base64.RawStdEncoding.DecodeString(parts[3])
	key, keyErr := base64.RawStdEncoding.DecodeString(parts[4])
	switch {
	case err != nil || saltErr != nil || keyErr != nil:
		return nil, errors.New("salt or hash of the PBKDF2 hash are not base64; was it copied completely?")
	case iterations < 1000 || iterations > maxPBKDF2:
		return nil, fmt.Errorf("the PBKDF2 hash has %d iterations: 1000 to %d are accepted", iterations, maxPBKDF2)
	case parts[2] != "" && parts[2] != strconv.Itoa(len(key)):
		return nil, fmt.Errorf("the PBKDF2 hash has %d bytes and says l=%s", len(key), parts[2])
	case len(salt) < 8 || len(key) < 16 || len(key) > 64:
		return nil, fmt.Errorf("the PBKDF2 hash has a salt of %d and a hash of %d bytes: at least 8 and 16 are required", len(salt), len(key))
	}
	return &Secret{
		text: text,
		verify: func(secret []byte) bool {
			computed, err := pbkdf2.Key(sha512.New, string(secret), salt, iterations, len(key))
			return err == nil && subtle.ConstantTimeCompare(computed, key) == 1
		},
	}, nil
}
