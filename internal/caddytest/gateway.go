// SPDX-License-Identifier: Apache-2.0

package caddytest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Options returns the global options of a Caddyfile for a gateway that leaves
// nothing outside of dir and logs to the file that Records reads. The admin
// endpoint is off if its address is "".
func Options(dir, admin string) string {
	return fmt.Sprintf(`admin %[2]s
	auto_https off
	storage file_system %[1]s/storage
	persist_config off
	grace_period 1s
	log {
		output file %[3]s
		format json
		level DEBUG
	}`, dir, cmp.Or(admin, "off"), logFile(dir))
}

// Run adapts a Caddyfile and runs it, as Load does.
func Run(source, address string) error {
	config, err := Adapt(source)
	if err != nil {
		return err
	}
	return Load(config, address)
}

// Records returns the log lines with a message, of a gateway with Options.
func Records(t testing.TB, dir, message string) (records []map[string]any) {
	t.Helper()
	content, err := os.ReadFile(logFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		var record map[string]any
		if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == message {
			records = append(records, record)
		}
	}
	return records
}

func logFile(dir string) string { return filepath.Join(dir, "log.json") }
