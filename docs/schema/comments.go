// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
)

// comments are the comments on types and their fields, by folder, type and field.
type comments map[[3]string]string

// readComments reads the code of all folders below root.
func readComments(root string) (comments, error) {
	found := comments{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata"):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		found.add(filepath.ToSlash(folder), file)
		return nil
	})
	return found, err
}

// add adds the comments of a file.
func (c comments) add(folder string, file *ast.File) {
	for _, declared := range file.Decls {
		group, ok := declared.(*ast.GenDecl)
		if !ok || group.Tok != token.TYPE {
			continue
		}
		for _, spec := range group.Specs {
			typ := spec.(*ast.TypeSpec)
			doc := typ.Doc
			if doc == nil {
				doc = group.Doc
			}
			c[[3]string{folder, typ.Name.Name}] = plain(doc)
			structure, ok := typ.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, field := range structure.Fields.List {
				for _, name := range field.Names {
					c[[3]string{folder, typ.Name.Name, name.Name}] = plain(field.Doc)
				}
			}
		}
	}
}

var (
	lineEnd = regexp.MustCompile(`([^\n])\n([^\n\t ])`)
	link    = regexp.MustCompile(`\[([A-Za-z.]+)\]`)
)

// plain returns a comment as text, a paragraph on a line.
func plain(group *ast.CommentGroup) string {
	text := strings.TrimSpace(group.Text())
	return link.ReplaceAllString(lineEnd.ReplaceAllString(text, "$1 $2"), "$1")
}

func (c comments) ofType(t reflect.Type) string { return c.ofField(t, "") }

func (c comments) ofField(t reflect.Type, field string) string {
	folder := strings.TrimPrefix(strings.TrimPrefix(t.PkgPath(), module), "/")
	if folder == "" {
		folder = "."
	}
	return c[[3]string{folder, t.Name(), field}]
}
