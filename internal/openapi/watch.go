// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"

	"github.com/caddy-gluu/gateway/directive"
)

// A Watcher finds out when a document or a file beside it has changed. It is not safe
// for concurrent use.
type Watcher struct {
	file string
	opts Options

	files  []string // of the last document that could be read
	digest [sha256.Size]byte
	loaded string // what the files looked like when they were read last
	seen   string // what they looked like at the last poll
	failed string // the error of the last attempt, "" if it succeeded
	polls  int    // since that attempt
}

// retryPolls is after how many polls a document with a mistake is read again: the
// mistake may be in a file that is not known, because it is missing.
const retryPolls = 10

// NewWatcher returns a watcher of a document that was loaded. It reads the document
// once more at its second poll, since it can have changed in between.
func NewWatcher(api *API, file string, opts Options) *Watcher {
	w := &Watcher{file: file, opts: opts, files: api.Files, digest: api.Digest}
	w.seen = w.look()
	return w
}

// Poll returns the document if it has changed since it was last returned, and the
// error once if it cannot be used. It waits until two polls in a row find the same
// files, so that none is read while it is written.
func (w *Watcher) Poll() (*API, error) {
	now := w.look()
	settled := now == w.seen
	w.seen = now
	w.polls++
	if !settled || now == w.loaded && (w.failed == "" || w.polls < retryPolls) {
		return nil, nil
	}
	w.loaded, w.polls = now, 0
	api, err := Load(w.file, w.opts)
	if err != nil {
		repeated := err.Error() == w.failed
		w.failed = err.Error()
		if repeated {
			return nil, nil
		}
		return nil, err
	}
	fixed := w.failed != ""
	w.failed = ""
	if api.Digest == w.digest && !fixed {
		return nil, nil
	}
	w.files, w.digest = api.Files, api.Digest
	return api, nil
}

// look describes the files, so that a changed one is noticed without reading it.
func (w *Watcher) look() string {
	var b strings.Builder
	name, err := directive.Resolve(w.file)
	if err != nil {
		name = w.file
	}
	for _, file := range append([]string{name}, w.files...) {
		info, err := os.Stat(file)
		if err != nil {
			fmt.Fprintf(&b, "%s missing\n", file)
			continue
		}
		fmt.Fprintf(&b, "%s %d %d\n", file, info.Size(), info.ModTime().UnixNano())
	}
	return b.String()
}
