// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/token"
)

// The headers that a handler keeps with a token count for the memory of the cache.
func TestHeadersCountForTheSizeOfTheToken(t *testing.T) {
	one := &token.Token{}
	before := one.Size()
	set := &HeaderSet{names: []string{"X-A", "X-B"}, values: []string{strings.Repeat("a", 8000), strings.Repeat("b", 4000)}}
	one.SetValue(token.ValueKey{Generation: 1, Handler: 1}, set)
	if grown := one.Size() - before; grown < 12_000 || grown > 12_500 {
		t.Errorf("12,000 bytes of headers made the token %d bytes larger", grown)
	}
}
