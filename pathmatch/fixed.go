// SPDX-License-Identifier: Apache-2.0

package pathmatch

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// CheckFixed refuses what cannot be the path of an address that a gateway answers
// itself, because no request can have a path in exactly this spelling. Such paths are
// compared as a whole and decoded.
func CheckFixed(path string) error {
	switch {
	case !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//"):
		return errors.New("is not a path; begin it with a single slash")
	case strings.ContainsAny(path, "?#*{}"):
		return errors.New("is not a fixed path; it cannot have a query, a fragment, wildcards or placeholders")
	case strings.Contains(path, "%"):
		return errors.New("has an escape; write the character itself, since paths are compared decoded")
	}
	canonical, err := Canonicalize(&url.URL{Path: path}, Options{})
	if err != nil {
		return fmt.Errorf("cannot be a path of its own: %w", err)
	}
	if canonical.Decoded != path {
		return fmt.Errorf("is written %q in canonical form", canonical.Decoded)
	}
	return nil
}
