// SPDX-License-Identifier: Apache-2.0

package caddyopa

import (
	"encoding/json"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logged is a value of OPA as a field of a log line. It is written as it is: a detour by
// Go's maps would cost more than the rest of the line.
func logged(name string, value ast.Value) zap.Field {
	switch value := value.(type) {
	case ast.Object:
		return zap.Object(name, loggedObject{value})
	case *ast.Array:
		return zap.Array(name, loggedList{value})
	case ast.String:
		return zap.String(name, string(value))
	case ast.Boolean:
		return zap.Bool(name, bool(value))
	case ast.Number:
		return loggedNumber(name, value)
	}
	return zap.Reflect(name, plain(value)) // null, or a set
}

// loggedNumber keeps a number exact.
func loggedNumber(name string, number ast.Number) zap.Field {
	if n, ok := number.Int64(); ok {
		return zap.Int64(name, n)
	}
	return zap.Reflect(name, json.Number(number))
}

type loggedObject struct{ ast.Object }

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (o loggedObject) MarshalLogObject(line zapcore.ObjectEncoder) error {
	o.Foreach(func(key, value *ast.Term) {
		name := key.String()
		if text, ok := key.Value.(ast.String); ok {
			name = string(text)
		}
		logged(name, value.Value).AddTo(line)
	})
	return nil
}

type loggedList struct{ *ast.Array }

// MarshalLogArray implements zapcore.ArrayMarshaler.
func (l loggedList) MarshalLogArray(line zapcore.ArrayEncoder) (err error) {
	for i := range l.Len() {
		switch value := l.Elem(i).Value.(type) {
		case ast.Object:
			err = line.AppendObject(loggedObject{value})
		case *ast.Array:
			err = line.AppendArray(loggedList{value})
		case ast.String:
			line.AppendString(string(value))
		default:
			err = line.AppendReflected(plain(value))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
