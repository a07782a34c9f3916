package todos.authz_test

import data.todos.authz

# A request as the gateway shows it, to the todos of a team.
request(method, team, client) := {
	"method": method,
	"path": ["teams", team, "todos", "7"],
	"client_id": client,
	"scopes": ["todos"],
}

test_a_reader_reads if {
	authz.allow with input as request("GET", "red", "reports")
}

test_a_reader_does_not_write if {
	not authz.allow with input as request("DELETE", "red", "reports")
	authz.message == "The role reader does not include DELETE." with input as request("DELETE", "red", "reports")
}

test_a_role_is_that_of_the_team if {
	authz.allow with input as request("DELETE", "red", "editor")
	not authz.allow with input as request("DELETE", "blue", "editor")
}

test_a_client_without_a_role_learns_nothing if {
	not authz.allow with input as request("GET", "blue", "reports")
	not authz.message with input as request("GET", "blue", "reports")
}

test_the_scope_is_needed if {
	without := object.union(request("GET", "red", "reports"), {"scopes": []})
	not authz.allow with input as without
}

test_other_paths_are_refused if {
	elsewhere := object.union(request("GET", "red", "editor"), {"path": ["teams", "red"]})
	not authz.allow with input as elsewhere
}

test_roles_are_data if {
	authz.allow with input as request("GET", "blue", "reports") with data.teams.blue.reports as "reader"
}
