// SPDX-License-Identifier: Apache-2.0

// Package apps keeps which apps of a kind run, for what outlives a configuration
// and needs the present one. For a moment during each reload there are two of them.
// If the new configuration fails to start, the old one is still there.
package apps

import (
	"slices"
	"sync"
)

// Running are the apps that have been started and not stopped, oldest first. The zero
// value has none. It may be used by several goroutines.
type Running[T comparable] struct {
	mu   sync.Mutex
	apps []T
}

// Add adds an app that has started.
func (a *Running[T]) Add(app T) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.apps = append(a.apps, app)
}

// Remove removes an app that stops.
func (a *Running[T]) Remove(app T) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.apps = slices.DeleteFunc(a.apps, func(other T) bool { return other == app })
}

// Current returns the app that was started last, the zero value if there is none.
func (a *Running[T]) Current() (app T) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.apps) > 0 {
		app = a.apps[len(a.apps)-1]
	}
	return app
}
