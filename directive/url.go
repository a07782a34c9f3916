// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"fmt"
	"net/url"
	"strings"
)

// URL parses the address of an option. It must use https, or http to a loopback
// address, and have a host, no password and no fragment.
func URL(name, value string) (*url.URL, error) {
	u, err := url.Parse(value)
	if err != nil {
		return nil, fmt.Errorf("%s %q is not a URL: write 'https://...'", name, value)
	}
	switch {
	case u.Host == "" || u.Opaque != "" || u.Hostname() == "":
		return nil, fmt.Errorf("%s %q is not a URL with a host: write 'https://...'", name, value)
	case u.User != nil:
		return nil, fmt.Errorf("%s contains a user name or password, which logs would show: remove them", name)
	case u.Fragment != "" || strings.Contains(value, "#"):
		return nil, fmt.Errorf("%s %q has a fragment, which is never sent: leave it out", name, value)
	case u.Scheme == "https", u.Scheme == "http" && IsLoopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("%s %q is not protected in transit: write 'https://...' (http is for loopback addresses only)", name, value)
}
