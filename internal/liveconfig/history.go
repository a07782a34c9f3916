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
	"strconv"
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

// Bounds of a history: how many versions are kept, and how long they are together, in
// bytes. The newest is always kept.
const (
	HistorySize  = 50
	HistoryBytes = 64 << 20
)

// History keeps the last versions, in files that only this user can read: they have
// the secrets of the configuration, as Caddy's own autosave.json has.
type History struct {
	now func() time.Time
	dir string // "": in memory alone

	mu       sync.Mutex
	versions []Version // the oldest first
}

// OpenHistory reads what is kept in a folder, the newest first, as far as the bounds of
// a history allow. Files that cannot be read are left out.
func OpenHistory(dir string, now func() time.Time) *History {
	h := &History{now: now, dir: dir}
	if dir == "" {
		return h
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	slices.SortFunc(files, func(a, b string) int { return cmp.Or(cmp.Compare(timeOf(b), timeOf(a)), strings.Compare(b, a)) })
	whole := 0
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || len(h.versions) == HistorySize || info.Size() > 2*HistoryBytes {
			continue
		}
		text, err := os.ReadFile(file)
		var v Version
		if err != nil || json.Unmarshal(text, &v) != nil || v.ID != IDOf(v.Text) {
			continue
		}
		if whole += len(v.Text); whole > HistoryBytes && len(h.versions) > 0 {
			break
		}
		h.versions = append(h.versions, v)
	}
	slices.Reverse(h.versions)
	return h
}

// timeOf is when a version was added, by the name of its file.
func timeOf(file string) int64 {
	name, _, _ := strings.Cut(filepath.Base(file), "-")
	nanoseconds, _ := strconv.ParseInt(name, 10, 64)
	return nanoseconds
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
	for len(h.versions) > 1 && (len(h.versions) > HistorySize || h.bytes() > HistoryBytes) {
		if h.dir != "" {
			_ = os.Remove(h.file(h.versions[0]))
		}
		h.versions = slices.Delete(h.versions, 0, 1)
	}
	return err
}

// bytes is how long the versions are together.
func (h *History) bytes() (whole int) {
	for _, v := range h.versions {
		whole += len(v.Text)
	}
	return whole
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
	return ReplaceFile(name, text, mode)
}

// ReplaceFile is the same for a file that has this mode then, whatever it had.
func ReplaceFile(name string, text []byte, mode os.FileMode) error {
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
