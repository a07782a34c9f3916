// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/embedded"
)

// A process of the test writes and says what was answered, until it is killed.

const (
	crashVariable = "GLUU_STORE_CRASH"
	crashSecret   = "a secret of a test, of 32 bytes or more"
	crashWriters  = 8
)

func crashPath() string { return os.Getenv(crashVariable) }

func crashStore(path string) (*store.Store, error) {
	engine, err := embedded.Open(path)
	if err != nil {
		return nil, err
	}
	return store.New(engine, store.Options{Secrets: []string{crashSecret}, Timeout: time.Minute})
}

func writeUntilKilled(path string) {
	st, err := crashStore(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var output sync.Mutex
	for w := range crashWriters {
		go func() {
			for i := 0; ; i++ {
				if err := writePair(st, w, i); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				output.Lock()
				fmt.Println(w, i)
				output.Unlock()
			}
		}()
	}
	select {}
}

// writePair writes two records that belong together, and deletes the pair before.
func writePair(st *store.Store, w, i int) error {
	var ops []store.Op
	for _, half := range []string{"left", "right"} {
		key := func(i int) []byte { return fmt.Append(nil, half, w, ".", i) }
		ops = append(ops, store.Create(store.Record{
			Kind: "pair", Key: key(i), Value: fmt.Append(nil, i), Expires: store.Forever,
			Index: []store.Entry{{Kind: "writer", Value: fmt.Append(nil, w)}},
		}))
		if i > 0 {
			ops = append(ops, store.Delete("pair", key(i-1)))
		}
	}
	return st.Commit(context.Background(), ops...)
}

func TestKilledProcessLosesNothingThatWasAnswered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	answered := make([]int, crashWriters)
	for round, lines := range []int{60, 150, 1} {
		for w := range answered {
			answered[w] = -1
		}
		os.Remove(path)
		killWriter(t, path, lines, answered)
		t.Run(fmt.Sprint("round ", round+1), func(t *testing.T) { checkPairs(t, path, answered) })
	}
}

// killWriter starts a process and kills it after some lines. What it has
// written to the pipe until then was answered too.
func killWriter(t *testing.T, path string, lines int, answered []int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), crashVariable+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(out)
	for n := 0; scanner.Scan(); n++ {
		writer, count, _ := strings.Cut(scanner.Text(), " ")
		w, err1 := strconv.Atoi(writer)
		i, err2 := strconv.Atoi(count)
		if err1 != nil || err2 != nil {
			continue // cut off by the kill
		}
		answered[w] = max(answered[w], i)
		if n == lines {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
}

func checkPairs(t *testing.T, path string, answered []int) {
	st, err := crashStore(path)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for w, last := range answered {
		records, _, err := st.List(t.Context(), "pair", store.Entry{Kind: "writer", Value: fmt.Append(nil, w)}, nil, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(records) != 2 && (last >= 0 || len(records) != 0) {
			t.Errorf("writer %d: %d records, want one pair", w, len(records))
			continue
		}
		for _, r := range records {
			// One more may have been written and not answered.
			if i, _ := strconv.Atoi(string(r.Value)); i != last && i != last+1 || string(r.Value) != string(records[0].Value) {
				t.Errorf("writer %d: %q has %s, answered was %d", w, r.Key, r.Value, last)
			}
		}
	}
}

func damaged(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
