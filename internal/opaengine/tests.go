// SPDX-License-Identifier: Apache-2.0

package opaengine

import (
	"context"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
)

// TestResult is the result of one of OPA's tests.
type TestResult = tester.Result

// RunTests runs the tests in files of policies, as `opa test` does. Policies may call
// everything that OPA has: tests replace what reaches other hosts.
func RunTests(ctx context.Context, names []string) ([]*TestResult, error) {
	var files []file
	for _, name := range names {
		content, err := readFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, content})
	}
	s, err := parseFiles(files)
	if err != nil {
		return nil, err
	}
	store := inmem.NewFromObject(s.data)
	txn, err := store.NewTransaction(ctx, storage.WriteParams)
	if err != nil {
		return nil, err
	}
	defer store.Abort(ctx, txn)
	compiler := ast.NewCompiler().WithCapabilities(capabilitiesOf(All, nil)).WithDefaultRegoVersion(ast.RegoV1)
	results, err := tester.NewRunner().SetCompiler(compiler).SetStore(store).SetModules(s.modules).RunTests(ctx, txn)
	if err != nil {
		return nil, fmt.Errorf("the tests cannot be run: %w", describe(err))
	}
	var all []*TestResult
	for result := range results {
		all = append(all, result)
	}
	slices.SortStableFunc(all, func(a, b *TestResult) int { return a.Location.Compare(b.Location) })
	return all, nil
}
