// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
	"cel.dev/cel-go/common/ast"
)

// What an expression may cost. The configuration says what is computed, but the
// claims come from elsewhere, sometimes from the user.
const (
	// runtimeLimit is where an evaluation stops. One step is about one
	// operation of the interpreter. It is 20 ms and not more: cel-go's own
	// bookkeeping of the cost takes time with the square of the steps in a loop.
	runtimeLimit = 20_000

	// staticLimit is what an expression may cost over claims of assumedSize. A
	// loop over a list with a search in another for each element passes, a
	// loop within a loop within a loop does not.
	staticLimit = 10_000_000

	// assumedSize is the length of a text and the number of elements of a list
	// or object in claims, for the estimate at load.
	assumedSize = 256

	maxExpressionLength = 4096 // code points
	maxNesting          = 64
	maxRegexpSize       = 1000 // instructions
)

// sizes says how large the claims may be that the cost is estimated for.
type sizes struct{}

func (sizes) EstimateSize(checker.AstNode) *checker.SizeEstimate {
	return &checker.SizeEstimate{Min: 0, Max: assumedSize}
}

func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// fixedArguments refuses calls whose cost is the product of two texts, or the
// compilation of a regular expression, unless one of them is a constant. CEL
// charges for a call when it is done, and a replacement of every character of
// 64 KiB by another 64 KiB takes 4 GiB until then.
type fixedArguments struct{}

func (fixedArguments) Name() string { return "gluu.fixed_arguments" }

// Validate implements cel.ASTValidator.
func (fixedArguments) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *ast.AST, issues *cel.Issues) {
	for _, e := range ast.MatchDescendants(ast.NavigateAST(a), ast.KindMatcher(ast.CallKind)) {
		call := e.AsCall()
		var fixed ast.Expr
		switch name, args := call.FunctionName(), call.Args(); {
		case name == "format":
			fixed = call.Target()
		case (name == "join" || name == "indexOf" || name == "lastIndexOf") && len(args) > 0:
			fixed = args[0]
		case name == "replace" && len(args) > 1:
			fixed = args[1]
		case name == "matches" && len(args) > 0: // text.matches(re) or matches(text, re)
			fixed = args[len(args)-1]
		default:
			continue
		}
		if fixed.Kind() != ast.LiteralKind {
			issues.ReportErrorAtID(fixed.ID(), "%s takes a constant here, so that claims cannot make it expensive", call.FunctionName())
		}
	}
}
