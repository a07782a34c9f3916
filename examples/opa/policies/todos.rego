# What a client may do with the todos of a team, /teams/<team>/todos/...: data.json
# gives it a role in the team, and the role its methods.
package todos.authz

default allow := false

allow if {
	"todos" in input.scopes
	input.method in data.methods[role]
}

role := data.teams[input.path[1]][input.client_id] if {
	input.path[0] == "teams"
	input.path[2] == "todos"
}

# The client is told what its role lacks. A client without a role learns nothing.
message := sprintf("The role %s does not include %s.", [role, input.method]) if not allow
