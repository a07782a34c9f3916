# The client "reports" reads what is below /reports.
package httpapi.authz

default allow := false

allow if {
	input.method == "GET"
	input.path[0] == "reports"
	input.request_token_data.client_id == "reports"
}
