// SPDX-License-Identifier: Apache-2.0

package opaengine

import "github.com/open-policy-agent/opa/v1/ast"

// Uses says which parts of the input policies can refer to. It never says too
// little: where a policy takes a part as a whole, or computes the name of a member,
// all members count as used.
//
// For a policy that reads input.method and input.headers["x-tenant"], the method and
// that one header are used, and nothing else needs to be built.
type Uses struct {
	whole   bool
	members map[string]*Uses
}

// everything is what a policy uses about which nothing is known.
var everything = &Uses{whole: true}

// Everything is used by who decides outside of this process.
func Everything() *Uses { return everything }

// Whole reports whether all members can be used.
func (u *Uses) Whole() bool { return u != nil && u.whole }

// Member returns what is used of a member, nil if it is not used at all.
func (u *Uses) Member(name string) *Uses {
	switch {
	case u == nil:
		return nil
	case u.whole:
		return everything
	}
	return u.members[name]
}

// Names returns the names of the used members, in no order. It is of no use for what
// is used as a whole.
func (u *Uses) Names() []string {
	names := make([]string, 0, len(u.members))
	for name := range u.members {
		names = append(names, name)
	}
	return names
}

// usesOf looks through the rules of compiled modules. Imports do not count: they
// are part of what refers to them.
func usesOf(modules map[string]*ast.Module) *Uses {
	uses := new(Uses)
	for _, module := range modules {
		for _, rule := range module.Rules {
			uses.add(rule)
		}
	}
	return uses
}

func (u *Uses) add(node any) {
	var visitor *ast.GenericVisitor
	visitor = ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Ref:
			u.note(x)
			for _, term := range x[1:] {
				visitor.Walk(term)
			}
			return true
		case ast.Var:
			if x.Equal(ast.InputRootDocument.Value) {
				u.whole = true
			}
		}
		return false
	})
	visitor.Walk(node)
}

// maxUsesDepth is how deep members are told apart: as deep as the claims in the document
// of Envoy.
const maxUsesDepth = 6

// note adds what a reference such as input.headers["x-tenant"] uses.
func (u *Uses) note(ref ast.Ref) {
	if len(ref) == 0 || !ref[0].Equal(ast.InputRootDocument) {
		return
	}
	for depth := 0; !u.whole; depth++ {
		if depth == len(ref)-1 || depth == maxUsesDepth {
			u.whole, u.members = true, nil
			return
		}
		name, ok := ref[depth+1].Value.(ast.String)
		if !ok {
			u.whole, u.members = true, nil
			return
		}
		if u.members == nil {
			u.members = make(map[string]*Uses)
		}
		if u.members[string(name)] == nil {
			u.members[string(name)] = new(Uses)
		}
		u = u.members[string(name)]
	}
}
