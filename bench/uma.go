// SPDX-License-Identifier: Apache-2.0

package main

// What the issuer of the benchmark knows of UMA: one resource, and one requesting party
// token, which every client with a ticket gets.
const (
	umaGrant    = "urn:ietf:params:oauth:grant-type:uma-ticket"
	umaResource = "todos"
	rpt         = "opaque-rpt"

	// hurriedClient is a client whose tokens live so shortly that each request renews the
	// session.
	hurriedClient = "bench-hurried"
)

// umaRules get the token for people who are logged in.
const umaRules = "\tgluu_uma_pep {\n\t\tobtain_rpt\n\t\tpath /todos/? {\n\t\t\tGET scope todos:view {\n\t\t\t\tresource_id " + umaResource + "\n\t\t\t}\n\t\t}\n\t}\n"
