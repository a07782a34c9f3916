// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"github.com/google/uuid"
)

// declarative is the namespace of the ids that Kong gives to entities of a
// file that have none.
var declarative = uuid.MustParse("fd02801f-0957-4a15-a55a-c8d9606f30b5")

// kongID returns the id that Kong derives from the name of an entity. Upstreams
// store such ids, so they must survive the move.
func kongID(collection, name string) string {
	return uuid.NewSHA1(uuid.NewSHA1(declarative, []byte(collection)), []byte(name)).String()
}
