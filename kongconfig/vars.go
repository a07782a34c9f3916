// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// withoutUnknownVars writes a var without an entry in the data as false, where it
// stands below nothing but "and" and "or". Gluu Gateway accepts such a rule, and
// the var grants nothing. Elsewhere it could grant something: with "!" it lets
// everyone pass. Such rules stay as they are, and are refused, and so do wrong
// documents, for which there is a better error.
func withoutUnknownVars(c *object, field string, rules json.RawMessage) json.RawMessage {
	decoder := json.NewDecoder(bytes.NewReader(rules))
	decoder.UseNumber()
	var document []any
	if decoder.Decode(&document) != nil || hasMemberTwice(rules) {
		return rules
	}
	changed := false
	for _, rule := range document {
		for _, condition := range listOf(rule, "conditions") {
			expression, _ := member(condition, "scope_expression").(map[string]any)
			changed = replaceUnknownVars(c, field, expression["rule"], len(listOf(expression, "data"))) || changed
		}
	}
	if !changed {
		return rules
	}
	rewritten, err := json.Marshal(document)
	if err != nil {
		return rules
	}
	return rewritten
}

// replaceUnknownVars replaces them among the operands of "and" and "or", at any depth.
func replaceUnknownVars(c *object, field string, rule any, entries int) (changed bool) {
	operation, _ := rule.(map[string]any)
	if len(operation) != 1 {
		return false
	}
	for _, op := range []string{"and", "or"} {
		operands, _ := operation[op].([]any)
		for i, operand := range operands {
			if n := unknownVar(operand, entries); n >= 0 {
				c.warnf(aboutProtection, field, "var %d does not name an entry of its data, which has %d, so that it grants nothing, as in Gluu Gateway: correct it", n, entries)
				operands[i], changed = false, true
				continue
			}
			changed = replaceUnknownVars(c, field, operand, entries) || changed
		}
	}
	return changed
}

// unknownVar returns the number of a var that is not an entry of the data, or -1.
func unknownVar(operand any, entries int) int {
	operation, _ := operand.(map[string]any)
	number, ok := operation["var"].(json.Number)
	if n, err := strconv.Atoi(string(number)); ok && err == nil && len(operation) == 1 && n >= entries {
		return n
	}
	return -1
}

func member(value any, name string) any {
	object, _ := value.(map[string]any)
	return object[name]
}

func listOf(value any, name string) []any {
	list, _ := member(value, name).([]any)
	return list
}
