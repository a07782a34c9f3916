// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// CheckFile refuses the name of a file that cannot be read, with the line on which
// the dispenser is. A name with a placeholder is known only when the
// configuration loads.
func CheckFile(d *caddyfile.Dispenser, option, name string) error {
	if name == "" || HasPlaceholder(name) {
		return nil
	}
	file, err := os.Open(name)
	if err != nil {
		if path, ok := errors.AsType[*fs.PathError](err); ok {
			err = path.Err
		}
		return d.Errf("%s: the file %q cannot be read: %w; write the path of a file that exists and that Caddy may read", option, name, err)
	}
	return file.Close()
}

// Beside returns the path of a file whose name is relative to the folder of the
// Caddyfile, as the files of an import are. An absolute name stays as it is, and so
// does one with a placeholder, which is known only when the configuration loads.
func Beside(d *caddyfile.Dispenser, name string) (string, error) {
	if name == "" || filepath.IsAbs(name) || HasPlaceholder(name) {
		return name, nil
	}
	return filepath.Abs(filepath.Join(filepath.Dir(d.File()), name))
}
