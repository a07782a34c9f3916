// SPDX-License-Identifier: Apache-2.0

package kongpath

import (
	"fmt"
	"regexp"
	"strings"
)

// Check refuses a path that a route cannot have: a prefix that is not in its
// normal form, or a regular expression that cannot be run.
func Check(path string) error {
	if _, isRegex := strings.CutPrefix(path, "~"); isRegex {
		_, err := Compile(path[1:])
		return err
	}
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("paths: %q does not begin with a slash: write %q, or ~ before a regular expression", path, "/"+path)
	}
	for _, c := range []byte(path) {
		if !isPathByte(c) || c == '[' || c == ']' {
			return fmt.Errorf("paths: %q has a character that a prefix cannot have, %q: write %q if it is a regular expression, and an escape such as %%20 otherwise", path, c, "~"+path)
		}
	}
	if err := CheckEscapes(path); err != nil {
		return err
	}
	normal := Normalize(path)
	if Escape(normal) == path && normal != path {
		return fmt.Errorf("paths: %q has an escape that is decoded before paths are compared, and no prefix can have the character itself: write %q", path, "~"+regexp.QuoteMeta(normal))
	}
	if normal != path {
		return fmt.Errorf("paths: %q is not in its normal form: write %q", path, Escape(normal))
	}
	return nil
}

// CheckEscapes refuses a path with a percent sign that begins no escape.
func CheckEscapes(path string) error {
	for i := range len(path) {
		if path[i] == '%' && (i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2])) {
			return fmt.Errorf("paths: %q has a %% without two hexadecimal digits: write %%25 for the character itself", path)
		}
	}
	return nil
}
