// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/base64"
	"strings"
	"testing"
)

// encode writes a part of a JWT.
func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// split takes a JWT apart.
func split(t *testing.T, token string) (header, payload, signature string) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is not a JWT", token)
	}
	return parts[0], parts[1], parts[2]
}
