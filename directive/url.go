// SPDX-License-Identifier: Apache-2.0

package directive

import (
	"fmt"
	"net/url"
	"strings"
)

// URL reads the address of an option: https, or http on a loopback address,
// with a host, and without a password or a fragment.
func URL(name, value string) (*url.URL, error) {
	u, err := url.Parse(value)
	if err != nil {
		return nil, fmt.Errorf("%s '%s' is no URL: write 'https://...'", name, value)
	}
	switch {
	case u.Host == "" || u.Opaque != "" || u.Hostname() == "":
		return nil, fmt.Errorf("%s '%s' is no URL with a host: write 'https://...'", name, value)
	case u.User != nil:
		return nil, fmt.Errorf("%s has a user name or password in it, which logs would show: leave them out", name)
	case u.Fragment != "" || strings.Contains(value, "#"):
		return nil, fmt.Errorf("%s '%s' has a fragment, which is never sent: leave it out", name, value)
	case u.Scheme == "https", u.Scheme == "http" && IsLoopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("%s '%s' is not protected on its way: write 'https://...' (http is for loopback addresses only)", name, value)
}
