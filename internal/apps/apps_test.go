// SPDX-License-Identifier: Apache-2.0

package apps

import "testing"

// What runs is the app that started last, and the former one if a new one fails.
func TestRunning(t *testing.T) {
	former, next := new(int), new(int)
	var running Running[*int]
	for _, step := range []struct {
		name string
		do   func()
		want *int
	}{
		{"nothing has started", func() {}, nil},
		{"the first one starts", func() { running.Add(former) }, former},
		{"a reload starts another", func() { running.Add(next) }, next},
		{"which fails", func() { running.Remove(next) }, former},
		{"a second reload", func() { running.Add(next) }, next},
		{"which stops the former one", func() { running.Remove(former) }, next},
		{"an app stops twice", func() { running.Remove(former) }, next},
		{"all have stopped", func() { running.Remove(next) }, nil},
	} {
		if step.do(); running.Current() != step.want {
			t.Errorf("%s: got %p, want %p", step.name, running.Current(), step.want)
		}
	}
}
