// SPDX-License-Identifier: Apache-2.0

package headers

import "errors"

// Object is a compiled expression whose value is an object, for what is signed or
// sent as JSON. It is safe for concurrent use.
type Object struct{ expression *expression }

// CompileObject compiles an expression over the named variables, under the limits
// that expressions of headers have.
func CompileObject(source string, vars ...string) (*Object, error) {
	env, err := newEnv(vars)
	if err != nil {
		return nil, err
	}
	compiled, err := env.compile(source)
	if err != nil {
		return nil, err
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
		return nil, errors.New("the expression yields no object: write a map, such as {\"department\": userinfo.department}")
	}
	return object, nil
}
