// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
)

// Expressions are CEL: they have no loops but those over what is there, no
// state, no input or output and nothing to call but functions over values. That
// leaves cost, which the client influences when it influences claims: for
// example with a loop within a loop over two long lists. So cost is limited
// twice. At load an expression that could take too long over claims of ordinary
// size is refused; at run time every evaluation stops at a fixed number of
// steps, whatever size the claims are, and sets no header then. See bounds.go.

// ExpressionError is why an expression was refused when the configuration was
// loaded.
type ExpressionError struct {
	Expression   string
	Line, Column int    // from 1; zero if the expression as a whole is meant
	Reason       string // what is wrong
	Hint         string // what to write instead, if there is a good guess
}

func (e *ExpressionError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "expression %q", e.Expression)
	switch {
	case e.Line > 1:
		fmt.Fprintf(&b, ", line %d, column %d", e.Line, e.Column)
	case e.Line == 1:
		fmt.Fprintf(&b, ", column %d", e.Column)
	}
	b.WriteString(": " + e.Reason)
	if e.Hint != "" {
		b.WriteString(": " + e.Hint)
	}
	return b.String()
}

// environment compiles expressions over one set of variables.
type environment struct {
	cel  *cel.Env
	vars []string
}

func newEnv(vars []string) (*environment, error) {
	options := []cel.EnvOption{
		cel.CustomTypeAdapter(claimAdapter{}),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxExpressionLength),
		cel.ParserRecursionLimit(maxNesting),
		cel.RegexProgramSizeLimit(maxRegexpSize),
		cel.OptionalTypes(),
		ext.Strings(),
		ext.Encoders(),
		cel.ASTValidators(
			cel.ValidateRegexLiterals(),
			cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals(),
			fixedArguments{},
		),
	}
	for _, name := range vars {
		options = append(options, cel.Variable(name, cel.DynType))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("setting up expressions: %w", err)
	}
	return &environment{cel: env, vars: slices.Clone(vars)}, nil
}

// expression is a compiled expression, safe for concurrent use.
type expression struct {
	program cel.Program
	vars    []string
	output  *cel.Type // what it yields, as far as that is known before it runs
}

func (env *environment) compile(source string) (*expression, error) {
	refuse := func(line, column int, reason, hint string) error {
		return &ExpressionError{Expression: source, Line: line, Column: column, Reason: reason, Hint: hint}
	}
	if strings.Count(source, "")-1 > maxExpressionLength {
		return nil, &ExpressionError{Expression: source[:40] + "...", Reason: fmt.Sprintf("too long: write at most %d characters", maxExpressionLength)}
	}
	checked, issues := env.cel.Compile(source)
	if issues.Err() != nil {
		first := issues.Errors()[0]
		reason := strings.TrimSuffix(first.Message, " (in container '')")
		return nil, refuse(first.Location.Line(), first.Location.Column()+1, reason, env.hint(source, reason))
	}
	cost, err := env.cel.EstimateCost(checked, sizes{})
	if err != nil {
		return nil, refuse(0, 0, "its cost cannot be estimated: "+err.Error(), "")
	}
	if cost.Max > staticLimit {
		return nil, refuse(0, 0, "it could take too long over long claims", "use fewer loops (map, filter, all, exists) within one another")
	}
	program, err := env.cel.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(runtimeLimit))
	if err != nil {
		return nil, refuse(0, 0, err.Error(), "")
	}
	return &expression{program, env.vars, checked.OutputType()}, nil
}

var undeclared = regexp.MustCompile(`undeclared reference to '([^']*)'`)

// hint guesses what was meant. Nearly always it is a constant whose quotes are
// missing, perhaps because a Caddyfile took them for its own.
func (env *environment) hint(source, message string) string {
	unknown := undeclared.FindStringSubmatch(message)
	if unknown == nil && !strings.HasPrefix(message, "Syntax error") {
		return ""
	}
	if unknown != nil && strings.Contains(source, unknown[1]+"(") {
		return "the functions are those of CEL and of its extensions for strings, encoders and optional values"
	}
	known := "the variables are " + strings.Join(env.vars, ", ")
	isVar := func(name string) bool { return strings.Contains(source, name) }
	if strings.ContainsAny(source, `"'`) || slices.ContainsFunc(env.vars, isVar) {
		return known
	}
	quoted := `"` + strings.TrimSpace(source) + `"`
	return known + "; if a constant is meant it needs quotes, " + quoted + ", which a Caddyfile wants between backticks, `" + quoted + "`"
}

var (
	// errMissing is an expression without a value: a claim is missing.
	errMissing = errors.New("the value is missing")

	errTooCostly = errors.New("the expression takes too long over these claims")
)

// eval returns the value of the expression. Variables that are nil or not given
// count as an object without members, so that all their members are missing.
func (e *expression) eval(vars map[string]any) (ref.Val, error) {
	input := make(map[string]any, len(e.vars))
	for _, name := range e.vars {
		if value := vars[name]; value != nil {
			input[name] = value
		} else {
			input[name] = absent
		}
	}
	value, _, err := e.program.Eval(input)
	if err != nil {
		return nil, classify(err)
	}
	if optional, ok := value.(*types.Optional); ok {
		if !optional.HasValue() {
			return nil, errMissing
		}
		value = optional.GetValue()
	}
	if value == absent || value == types.NullValue {
		return nil, errMissing
	}
	return value, nil
}

// absent is the value of a missing variable.
var absent ref.Val = types.NewStringInterfaceMap(types.DefaultTypeAdapter, map[string]any{})

// classify tells a missing claim from all other errors. cel-go has no exported
// errors for it.
func classify(err error) error {
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "no such key"), strings.HasPrefix(text, "no such attribute"), strings.HasPrefix(text, "index out of bounds"):
		return errMissing
	case strings.Contains(text, "actual cost limit exceeded"):
		return errTooCostly
	}
	kind := "evaluation failed"
	if i := slices.IndexFunc(failures, func(failure string) bool { return strings.HasPrefix(text, failure) }); i >= 0 {
		kind = failures[i]
	}
	return fmt.Errorf("the expression does not fit these claims (%s)", kind)
}

// failures are the beginnings of those errors of cel-go that are reported. The
// rest of a text, and other texts, may quote the value of a claim, which must
// not be logged.
var failures = []string{
	"no such overload", "unsupported", "unexpected type", "type conversion error",
	"division by zero", "divide by zero", "modulus by zero", "integer overflow", "unsigned integer overflow",
	"range error", "invalid timestamp", "timestamp overflow", "duration overflow",
}
