// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"errors"

	"cel.dev/cel-go/cel"
)

// Object is a compiled expression whose value is an object, for what is signed or
// sent as JSON. It is safe for concurrent use.
type Object struct{ expression *expression }

const (
	notAnObject = "does not yield an object"
	hintObject  = `write a map, such as {"department": userinfo.department}`
)

// CompileObject compiles an expression over the named variables, under the limits
// that expressions of headers have. What can only yield something else, such as a
// constant, is an error.
func CompileObject(source string, vars ...string) (*Object, error) {
	env, err := newEnv(vars)
	if err != nil {
		return nil, err
	}
	compiled, err := env.compile(source)
	if err != nil {
		return nil, err
	}
	if kind := compiled.output.Kind(); kind != cel.MapKind && kind != cel.DynKind {
		return nil, &ExpressionError{Expression: source, Reason: notAnObject, Hint: hintObject}
	}
	return &Object{compiled}, nil
}

// Eval returns the object for the values of the variables, each a JSON value with
// numbers as json.Number. No error quotes any of them.
func (o *Object) Eval(vars map[string]any) (map[string]any, error) {
	result, err := o.expression.eval(vars)
	if err != nil {
		return nil, err
	}
	value, err := native(result, 0)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("the expression " + notAnObject + ": " + hintObject)
	}
	return object, nil
}
