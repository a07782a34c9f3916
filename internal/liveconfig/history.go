// SPDX-License-Identifier: Apache-2.0

package liveconfig

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Version is a configuration that ran.
type Version struct {
	ID   string    `json:"id"` // of its text
	Time time.Time `json:"time"`
	By   string    `json:"by"`
	Note string    `json:"note"`
	Text string    `json:"text"` // JSON, or a Caddyfile
}

// HistorySize is how many versions are kept.
const HistorySize = 50

// History keeps the last versions, in files that only this user can read: they have
// the secrets of the configuration, as Caddy's own autosave.json has.
type History struct {
	now func() time.Time
	dir string // "": in memory alone

	mu       sync.Mutex
	versions []Version // the oldest first
}

// OpenHistory reads what is kept in a folder. Files that cannot be read are left out.
func OpenHistory(dir string, now func() time.Time) *History {
	h := &History{now: now, dir: dir}
	files, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	if dir == "" {
		files = nil
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		var v Version
		if err == nil && json.Unmarshal(text, &v) == nil && v.ID == IDOf(v.Text) {
			h.versions = append(h.versions, v)
		}
	}
	slices.SortStableFunc(h.versions, func(a, b Version) int { return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.ID, b.ID)) })
	return h
}

// IDOf stands for the text of a configuration.
func IDOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// Note adds a version unless it is the newest one already. The error says that it is
// not in a file.
func (h *History) Note(text, by, note string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.versions); n > 0 && h.versions[n-1].Text == text {
		return nil
	}
	v := Version{IDOf(text), h.now().UTC(), by, note, text}
	h.versions = append(h.versions, v)
	err := h.write(v)
	for len(h.versions) > HistorySize {
		if h.dir != "" {
			_ = os.Remove(h.file(h.versions[0]))
		}
		h.versions = slices.Delete(h.versions, 0, 1)
	}
	return err
}

func (h *History) file(v Version) string {
	return filepath.Join(h.dir, fmt.Sprintf("%d-%s.json", v.Time.UnixNano(), v.ID))
}

func (h *History) write(v Version) error {
	if h.dir == "" {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return fmt.Errorf("keeping a version of the configuration: %w", err)
	}
	return WriteFile(h.file(v), text, 0o600)
}

// List returns the versions, the newest first.
func (h *History) List() []Version {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := slices.Clone(h.versions)
	slices.Reverse(list)
	return list
}

// Find returns the newest version with an id.
func (h *History) Find(id string) (Version, bool) {
	for _, v := range h.List() {
		if v.ID == id {
			return v, true
		}
	}
	return Version{}, false
}

// WriteFile replaces a file as a whole: a reader sees the former one or the new one.
// A file that exists keeps its mode.
func WriteFile(name string, text []byte, mode os.FileMode) error {
	if info, err := os.Stat(name); err == nil {
		mode = info.Mode().Perm()
	}
	temporary, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = bytes.NewReader(text).WriteTo(temporary)
	err = cmp.Or(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), name)
}
