// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"os"
	"strings"
	"testing"
)

func TestPostgresKeepsItsDataUntilTheTestEnds(t *testing.T) {
	var dir string
	t.Run("server", func(t *testing.T) {
		p := StartPostgres(t)
		dir = p.dir
		query := func(statement string) string {
			t.Helper()
			rows, err := p.Query(statement)
			if err != nil {
				t.Fatal(err)
			}
			return rows
		}
		query("CREATE TABLE visits (name text, at int)")
		for _, end := range []struct {
			name string
			end  func() error
		}{{"stop", p.Stop}, {"kill", p.Kill}} {
			query("INSERT INTO visits VALUES ('" + end.name + "', 1)")
			if err := end.end(); err != nil {
				t.Fatalf("%s: %v", end.name, err)
			}
			if rows, err := p.Query("SELECT 1"); err == nil {
				t.Errorf("after %s: got the answer %q, want an error", end.name, rows)
			}
			p.Start()
		}
		if got, want := query("SELECT name, at FROM visits ORDER BY name"), "kill|1\nstop|1"; got != want {
			t.Errorf("after a stop and a kill: got rows %q, want %q", got, want)
		}
		if !strings.Contains(p.Log.String(), "automatic recovery in progress") {
			t.Errorf("the start after Kill was not a recovery; the log:\n%s", p.Log)
		}
	})
	if dir == "" {
		return // skipped
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the server's folder after the test: got %v, want it removed", err)
	}
}

func TestPostgresRequiresThePassword(t *testing.T) {
	p := StartPostgres(t)
	p.Password = "wrong"
	rows, err := p.Query("SELECT 1")
	if err == nil {
		t.Fatalf("with a wrong password: got the answer %q, want an error", rows)
	}
	if want := "password authentication failed"; !strings.Contains(err.Error(), want) {
		t.Errorf("with a wrong password: got %q, want an error that contains %q", err, want)
	}
}
