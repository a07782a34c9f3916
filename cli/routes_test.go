// SPDX-License-Identifier: Apache-2.0

package cli

import "testing"

func TestRoutes(t *testing.T) {
	const answer = `{"servers":[{"name":"srv0","listen":[":443"],"sites":[{"server":"srv0","listen":[":443"],"hosts":["api.example.com"],"unprotected":true,"pointer":"/apps/http/servers/srv0/routes/0","handle":[{"pointer":"/a","handler":"subroute","role":"contains","routes":[{"pointer":"/b","handle":[{"pointer":"/b/handle/0","handler":"gluu_oauth_auth","role":"authenticates"}]},{"pointer":"/c","match":["path /api/*","method PUT"],"handle":[{"pointer":"/c/handle/0","handler":"gluu_oauth_pep","role":"decides"}]},{"pointer":"/d","handle":[{"pointer":"/d/handle/0","handler":"reverse_proxy","role":"answers","summary":"localhost:9000\u001b[2J","protection":"partly"}]}]}]},{"kind":"errors","server":"srv0","listen":[":443"],"hosts":[],"unprotected":false,"pointer":"/e","handle":[]}]}],"taken":{"request":"GET https://api.example.com/","handlers":["/a","/b/handle/0","/d/handle/0"],"note":"The note."}}` + "\n"
	args := []string{"--address", adminAt(t, "/gluu/routes?request=GET+https%3A%2F%2Fapi.example.com%2F", 200, answer), "--request", "GET https://api.example.com/"}
	check(t, newRoutesCommand, args, exitYes, `
api.example.com :443
> gluu_oauth_auth
  path /api/*, or method PUT
    gluu_oauth_pep
> reverse_proxy localhost:9000\u001b[2J ! partly unprotected

all hosts, errors :443

The note.
`)
	check(t, newRoutesCommand, append(args, "--json"), exitYes, "\n"+answer)
}
