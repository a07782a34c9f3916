// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"slices"
	"sync"
)

// started are the apps that have been started and not stopped, oldest first. For a moment
// during each reload there are two of them. If the new configuration fails to start, the
// old one is still there.
var started runningApps

type runningApps struct {
	mu   sync.Mutex
	apps []*App
}

func (r *runningApps) add(a *App) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.apps = append(r.apps, a)
}

func (r *runningApps) remove(a *App) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.apps = slices.DeleteFunc(r.apps, func(other *App) bool { return other == a })
}

// current returns the app that was started last, nil if there is none.
func (r *runningApps) current() *App {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.apps) == 0 {
		return nil
	}
	return r.apps[len(r.apps)-1]
}
