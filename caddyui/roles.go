// SPDX-License-Identifier: Apache-2.0

package caddyui

import (
	"fmt"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"
)

// role is what a person may do. Each includes the ones before it.
type role int

const (
	nobody   role = iota // who has not logged in
	viewer               // sees all pages
	operator             // forgets tokens, ends sessions and streams
	admin                // changes what is stored
)

var roleNames = map[string]role{"viewer": viewer, "operator": operator, "admin": admin}

// String is the role for people.
func (r role) String() string {
	for name, is := range roleNames {
		if is == r {
			return name
		}
	}
	return "nobody"
}

// roleRule gives a role to whom its expression is true for.
type roleRule struct {
	role    role
	program cel.Program
}

// Expressions stop after this many steps: claims can be long, and a person
// influences some of them.
const costLimit = 100_000

var roleVariables = []string{"id_token", "userinfo", "certificate"}

// compileRoles returns the rules, that of the highest role first.
func compileRoles(configured map[string]string) (rules []roleRule, err error) {
	for name, expression := range configured {
		rule, err := compileRole(name, expression)
		if err != nil {
			return nil, err
		}
		rules = append(rules, *rule)
	}
	slices.SortFunc(rules, func(a, b roleRule) int { return int(b.role - a.role) })
	return rules, nil
}

func compileRole(name, expression string) (*roleRule, error) {
	role, known := roleNames[name]
	if !known {
		return nil, fmt.Errorf("roles: there is no %q: write admin, operator or viewer", name)
	}
	options := []cel.EnvOption{cel.CrossTypeNumericComparisons(true), cel.OptionalTypes(), ext.Strings()}
	for _, variable := range roleVariables {
		options = append(options, cel.Variable(variable, cel.DynType))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("setting up expressions: %w", err)
	}
	compiled, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, fmt.Errorf("roles: %s: %q: %s; the variables are id_token, userinfo and certificate", name, expression, issues.Errors()[0].Message)
	}
	if out := compiled.OutputType(); !out.IsExactType(cel.BoolType) && !out.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("roles: %s: %q is of the type %s: write an expression that is true or false, for example id_token.sub == \"ann\"", name, expression, out)
	}
	program, err := env.Program(compiled, cel.CostLimit(costLimit))
	if err != nil {
		return nil, fmt.Errorf("roles: %s: %q: %w", name, expression, err)
	}
	return &roleRule{role, program}, nil
}

// roleOf returns the highest role of a person. An expression that fails, for
// example because a claim is missing, gives no role.
func roleOf(rules []roleRule, person map[string]any) role {
	input := make(map[string]any, len(roleVariables))
	for _, name := range roleVariables {
		if input[name] = person[name]; person[name] == nil {
			input[name] = map[string]any{}
		}
	}
	for _, rule := range rules {
		if value, _, err := rule.program.Eval(input); err == nil && value == types.True {
			return rule.role
		}
	}
	return nobody
}
