// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// A process that creates consumers and says so is killed. Whatever it said
// must be true.
func TestKilledWhileWriting(t *testing.T) {
	if dir := os.Getenv("GLUU_TEST_WRITE_TO"); dir != "" {
		writeUntilKilled(dir)
		return
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	writer := exec.Command(self, "-test.run=^TestKilledWhileWriting$")
	writer.Env = append(os.Environ(), "GLUU_TEST_WRITE_TO="+dir)
	out, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if said = append(said, lines.Text()); len(said) == 100 {
			if err := writer.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = writer.Wait() // it was killed

	d := directory(t, open(t, &certmagic.FileStorage{Path: dir}))
	for _, line := range said {
		if word, name, _ := strings.Cut(line, " "); word == "created" && d.ByClient("", name) == nil {
			if !slices.Contains(said, "deleted "+name) {
				t.Errorf("%s was created and is lost", name)
			}
		} else if word == "deleted" && d.ByClient("", name) != nil {
			t.Errorf("%s was deleted and is back", name)
		}
	}
	if len(said) < 100 {
		t.Fatalf("the writer said only %q", said)
	}
}

func writeUntilKilled(dir string) {
	d, err := NewDirectory(nil, Open(&certmagic.FileStorage{Path: dir}, zap.NewNop()))
	if err != nil {
		panic(err)
	}
	for i := range 100_000 {
		name := fmt.Sprint("client-", i)
		if _, err := d.Create(context.Background(), Consumer{CustomID: name, ID: DeriveID(name)}); err != nil {
			panic(err)
		}
		fmt.Println("created", name)
		if i%3 == 0 {
			if err := d.Delete(context.Background(), DeriveID(name)); err != nil {
				panic(err)
			}
			fmt.Println("deleted", name)
		}
	}
}

// What a process pays at its start for 100,000 live consumers, and a gateway
// for one change among them.
func BenchmarkStore(b *testing.B) {
	dir := b.TempDir()
	files := &certmagic.FileStorage{Path: dir}
	store := open(b, files)
	consumers := many(100_000)
	fill(b, store, consumers)
	for n := range store.live.parts {
		// One change per part writes all of it.
		c := *sorted(store.live.parts[n])[0]
		c.Tags = []string{"changed"}
		if err := store.change(b.Context(), func(*draft) (*Consumer, *Consumer, error) {
			return store.live.byID.get(c.ID), &c, nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("start", func(b *testing.B) {
		for b.Loop() {
			fresh := newLive()
			if err := fresh.refresh(b.Context(), files); err != nil {
				b.Fatal(err)
			}
			if fresh.byClient.get("client-99999") == nil {
				b.Fatal("not all were read")
			}
		}
	})
	b.Run("change", func(b *testing.B) {
		d := directory(b, store)
		for i := 0; b.Loop(); i++ {
			_, err := d.Update(b.Context(), consumers[i%len(consumers)].ID, func(c *Consumer) error {
				c.Tags = []string{fmt.Sprint(i)}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	if left, err := filepath.Glob(filepath.Join(dir, partsKey, "*")); err != nil || len(left) != shardCount {
		b.Errorf("got %d files of parts, want %d (%v)", len(left), shardCount, err)
	}
}
