// SPDX-License-Identifier: Apache-2.0

package directive

import "net"

// IsLoopback reports whether a host, without its port, is a loopback address
// or localhost. No one can listen on the way there, so http is as safe as https.
// Any other name is refused, whatever it resolves to today.
func IsLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
