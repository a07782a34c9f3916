// SPDX-License-Identifier: Apache-2.0

package decisions

import (
	"math"
	"sync"
)

// HandlerID stands for a handler of a configuration. The zero value stands for none.
type HandlerID uint16

// HandlerInfo says which handler it is. Handlers of two configurations that are the
// same in all of it have one id, so that reloads need no further ones.
type HandlerInfo struct {
	Name          string // such as gluu_oauth_pep
	Authenticates bool
}

// handlers are all that were ever known to this process.
var handlers struct {
	mu    sync.RWMutex
	infos []HandlerInfo
	ids   map[HandlerInfo]HandlerID
}

// Identify returns the id of a handler. A handler calls it while it is provisioned.
// After 65,535 different ones it returns 0.
func Identify(info HandlerInfo) HandlerID {
	handlers.mu.Lock()
	defer handlers.mu.Unlock()
	if id, ok := handlers.ids[info]; ok {
		return id
	}
	if len(handlers.infos) == math.MaxUint16 {
		return 0
	}
	if handlers.ids == nil {
		handlers.ids = make(map[HandlerInfo]HandlerID)
	}
	handlers.infos = append(handlers.infos, info)
	id := HandlerID(len(handlers.infos))
	handlers.ids[info] = id
	return id
}

// Info returns what Identify was told.
func (id HandlerID) Info() HandlerInfo {
	handlers.mu.RLock()
	defer handlers.mu.RUnlock()
	if id == 0 || int(id) > len(handlers.infos) {
		return HandlerInfo{}
	}
	return handlers.infos[id-1]
}

// Trail are the handlers that have let a request pass, in order. It has room for
// more than a site has; further ones are left out.
type Trail [7]HandlerID

// Add notes that a handler has let the request pass.
func (t *Trail) Add(id HandlerID) {
	if id == 0 {
		return
	}
	for i := range t {
		if t[i] == 0 {
			t[i] = id
			return
		}
	}
}
