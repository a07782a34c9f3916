// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pb33f/go-yaml"
	"github.com/pb33f/libopenapi/datamodel"
)

// maxFile is far larger than any document.
const maxFile = 64 << 20

// loader holds what one call of Load knows.
type loader struct {
	opts     Options
	folder   *os.Root // of the document; references cannot leave it
	main     string   // the document's name as it was given
	mainBase string   // and within folder

	files    map[string]*yaml.Node // by name within folder
	contents map[string][]byte
	origins  map[*yaml.Node]string // file of a node that is not in the main file
	budget   int                   // nodes that may still be copied
	depth    int                   // of copyAll
	swagger  bool                  // the document is of version 2.0
	version  string

	warnings []*Error
}

// open reads the document itself.
func (l *loader) open(name string) (*yaml.Node, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a regular file", name)
	}
	if l.folder, err = os.OpenRoot(filepath.Dir(name)); err != nil {
		return nil, err
	}
	l.main, l.mainBase = name, filepath.Base(name)
	return l.file(l.mainBase)
}

// file returns the root node of a file in the folder.
func (l *loader) file(name string) (*yaml.Node, error) {
	if root, ok := l.files[name]; ok {
		return root, nil
	}
	content, err := l.read(name)
	if err != nil {
		return nil, err
	}
	root, err := parse(content)
	if err != nil {
		return nil, &Error{File: l.display(name), Line: parseLine(err), Reason: err.Error(), Hint: "fix the YAML or JSON"}
	}
	l.files[name], l.contents[name] = root, content
	if name != l.mainBase {
		l.note(root, l.display(name))
	}
	return root, nil
}

// display is a file's name for messages: the one that was given, or one beside it.
func (l *loader) display(name string) string {
	if name == l.mainBase {
		return l.main
	}
	return filepath.Join(filepath.Dir(l.main), filepath.FromSlash(name))
}

func (l *loader) read(name string) ([]byte, error) {
	// A link in the folder may point to another file of it, as those of Kubernetes
	// do, but not out of it.
	f, err := l.folder.Open(name)
	if err != nil && name == l.mainBase {
		f, err = os.Open(l.main) // the operator named it, wherever a link leads
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(content) > maxFile:
		return nil, fmt.Errorf("%q has more than %d MiB", l.display(name), maxFile>>20)
	case !utf8.Valid(content):
		return nil, fmt.Errorf("%q is not UTF-8", l.display(name))
	}
	return content, nil
}

// parse parses one YAML or JSON document.
func parse(content []byte) (*yaml.Node, error) {
	if json.Valid(content) {
		// JSON is YAML, but the library has a faster way for it.
		info, err := datamodel.ExtractSpecInfoWithDocumentCheck(content, true)
		if err != nil {
			return nil, err
		}
		return rootOf(info.RootNode)
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(content)))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty")
		}
		return nil, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file has several YAML documents, separated by ---")
	}
	return rootOf(&document)
}

// parseLine returns the line of a syntax error, 0 if it is not known.
func parseLine(err error) int {
	if place := yamlPlace.FindStringSubmatch(err.Error()); place != nil {
		line, _ := strconv.Atoi(place[1])
		return line
	}
	return 0
}

// yamlPlace is how the parser writes the place of a syntax error.
var yamlPlace = regexp.MustCompile(`\bL(\d+)\.C\d+\b`)

func rootOf(document *yaml.Node) (*yaml.Node, error) {
	if document == nil || document.Kind != yaml.DocumentNode || len(document.Content) != 1 {
		return nil, errors.New("the file is empty")
	}
	return document.Content[0], nil
}

// note remembers the file of all nodes below one.
func (l *loader) note(node *yaml.Node, file string) {
	l.origins[node] = file
	for _, child := range node.Content {
		l.note(child, file)
	}
}

func (l *loader) fileOf(node *yaml.Node) string {
	if file, ok := l.origins[node]; ok {
		return file
	}
	return l.main
}

// beside returns the name within the folder of a file that another one refers to.
func beside(from, to string) (string, error) {
	if strings.Contains(to, ":") || strings.HasPrefix(to, "//") {
		return "", errors.New("the network is never used: save that document beside this one and refer to its name")
	}
	if strings.HasPrefix(to, "/") || strings.Contains(to, `\`) {
		return "", errors.New("write a path that is relative to this document")
	}
	name := path.Join(path.Dir(from), to)
	if name == ".." || strings.HasPrefix(name, "../") {
		return "", errors.New("files outside the folder of the document are not read: move that file beside it")
	}
	return name, nil
}

// names returns the files that were read, with the document first.
func (l *loader) names() []string {
	names := make([]string, 0, len(l.contents))
	for name := range l.contents {
		if name != l.mainBase {
			names = append(names, l.display(name))
		}
	}
	slices.Sort(names)
	return append([]string{l.main}, names...)
}
