// SPDX-License-Identifier: Apache-2.0

package scopeexpr

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// This file decides slowly and obviously, from the JSON of a rule, by the
// definition of JSON Logic at https://jsonlogic.com. It shares no code with
// the package, so that tests can compare.

func slowlyGrants(v vector, captures []*string) bool {
	var rule any
	if err := json.Unmarshal(v.Rule, &rule); err != nil {
		panic(err)
	}
	data := make([]any, len(v.Data))
	for i, entry := range v.Data {
		data[i] = slowlyMatches(entry, v.Scopes, captures)
	}
	return slowLogic(rule, data) == true
}

func slowlyMatches(entry string, scopes []string, captures []*string) bool {
	for _, scope := range scopes {
		if !strings.HasPrefix(entry, "^") {
			if scope == entry {
				return true
			}
			continue
		}
		re := regexp.MustCompile(`\A(?:` + entry + `)\z`)
		match := re.FindStringSubmatchIndex(scope)
		if match == nil {
			continue
		}
		equal := true
		for i, name := range re.SubexpNames() {
			if len(name) != 3 || name[:2] != "PC" {
				continue
			}
			capture := captures[int(name[2]-'1')]
			equal = equal && capture != nil && match[2*i] >= 0 && scope[match[2*i]:match[2*i+1]] == *capture
		}
		if equal {
			return true
		}
	}
	return false
}

func slowLogic(rule any, data []any) any {
	object, ok := rule.(map[string]any)
	if !ok {
		return rule
	}
	for op, operands := range object {
		list, ok := operands.([]any)
		if !ok {
			list = []any{operands}
		}
		if op == "var" {
			return data[slowIndex(list[0])]
		}
		values := make([]any, len(list))
		for i := range list {
			values[i] = slowLogic(list[i], data)
		}
		return slowOperator(op, values)
	}
	panic("no operator")
}

func slowIndex(v any) int {
	if f, ok := v.(float64); ok {
		return int(f)
	}
	i, err := strconv.Atoi(v.(string))
	if err != nil {
		panic(err)
	}
	return i
}

func slowOperator(op string, v []any) any {
	switch op {
	case "and":
		for _, x := range v {
			if !slowTrue(x) {
				return x
			}
		}
		return v[len(v)-1]
	case "or":
		for _, x := range v {
			if slowTrue(x) {
				return x
			}
		}
		return v[len(v)-1]
	case "!":
		return !slowTrue(v[0])
	case "!!":
		return slowTrue(v[0])
	case "if", "?:":
		for len(v) > 1 {
			if slowTrue(v[0]) {
				return v[1]
			}
			v = v[2:]
		}
		if len(v) == 1 {
			return v[0]
		}
		return nil
	case "===":
		return reflect.DeepEqual(v[0], v[1])
	case "!==":
		return !reflect.DeepEqual(v[0], v[1])
	case "==":
		return slowEqual(v[0], v[1])
	case "!=":
		return !slowEqual(v[0], v[1])
	}
	panic("no operator " + op)
}

func slowTrue(x any) bool {
	switch x := x.(type) {
	case nil:
		return false
	case bool:
		return x
	case float64:
		return x != 0
	case string:
		return x != ""
	}
	panic("no value")
}

// slowEqual is == of JavaScript for null, booleans, numbers and strings.
func slowEqual(a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	if reflect.TypeOf(a) == reflect.TypeOf(b) {
		return a == b
	}
	x, okX := slowNumber(a)
	y, okY := slowNumber(b)
	return okX && okY && x == y
}

func slowNumber(x any) (float64, bool) {
	switch x := x.(type) {
	case bool:
		if x {
			return 1, true
		}
		return 0, true
	case string:
		x = strings.TrimSpace(x)
		if x == "" {
			return 0, true
		}
		f, err := strconv.ParseFloat(x, 64)
		return f, err == nil
	}
	return x.(float64), true
}
