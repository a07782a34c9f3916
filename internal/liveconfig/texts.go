// SPDX-License-Identifier: Apache-2.0

package liveconfig

import (
	"slices"
	"sync"
)

// Bounds of texts: how many there are, and how long they are together, in bytes. The
// newest is always kept.
const (
	maxTexts      = 32
	maxTextsBytes = 32 << 20
)

// Texts keeps the texts of configurations that people have before them, by their ids,
// in memory. The zero value is empty; several goroutines may use it.
type Texts struct {
	mu    sync.Mutex
	texts []idText // the one that was not asked for longest first
}

type idText struct{ id, text string }

// Add keeps a text. Others make room for it.
func (t *Texts) Add(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := IDOf(text)
	t.texts = slices.DeleteFunc(t.texts, func(known idText) bool { return known.id == id })
	t.texts = append(t.texts, idText{id, text})
	for len(t.texts) > 1 && (len(t.texts) > maxTexts || t.bytes() > maxTextsBytes) {
		t.texts = slices.Delete(t.texts, 0, 1)
	}
}

func (t *Texts) bytes() (whole int) {
	for _, known := range t.texts {
		whole += len(known.text)
	}
	return whole
}

// Find returns the text with an id.
func (t *Texts) Find(id string) (text string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, known := range t.texts {
		if known.id == id {
			return known.text, true
		}
	}
	return "", false
}
