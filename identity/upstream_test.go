// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/consumer"
)

func TestHeadersAreCurrentUntilTheirSignatureIsRenewed(t *testing.T) {
	now := time.Unix(1_900_000_000, 0)
	ann, bob := &consumer.Consumer{Username: "ann"}, &consumer.Consumer{Username: "bob"}
	writer := &HeaderWriter{now: func() time.Time { return now }}
	for _, test := range []struct {
		name string
		set  *HeaderSet
		want bool
	}{
		{"none", nil, false},
		{"unsigned", &HeaderSet{consumer: ann}, true},
		{"of another consumer", &HeaderSet{consumer: bob}, false},
		{"to renew later", &HeaderSet{consumer: ann, renewAt: now.UnixNano() + 1}, true},
		{"to renew now", &HeaderSet{consumer: ann, renewAt: now.UnixNano()}, false},
		{"to renew now, of another consumer", &HeaderSet{consumer: bob, renewAt: now.UnixNano()}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := writer.IsCurrent(test.set, ann); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}
