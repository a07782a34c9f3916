// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// A file is what an archive, a package or a layer holds. Its content is either
// in memory or in a file of the disk, since binaries are large.
type file struct {
	name    string // with slashes, relative
	mode    os.FileMode
	content []byte
	source  string // the path on the disk, instead of content
	dir     bool
	owner   int // numeric, for images; archives and packages belong to root
}

func (f file) open() (io.ReadCloser, int64, error) {
	if f.source == "" {
		return io.NopCloser(bytes.NewReader(f.content)), int64(len(f.content)), nil
	}
	opened, err := os.Open(f.source)
	if err != nil {
		return nil, 0, err
	}
	info, err := opened.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, opened.Close())
	}
	return opened, info.Size(), nil
}

// sorted returns the files by name, so that the order in which they were
// collected does not decide what comes out.
func sorted(files []file) []file {
	return slices.SortedFunc(slices.Values(files), func(a, b file) int { return strings.Compare(a.name, b.name) })
}

// writeTar writes a tar archive in which nothing depends on the machine.
func writeTar(w io.Writer, files []file, at time.Time) error {
	archive := tar.NewWriter(w)
	for _, f := range sorted(files) {
		if err := addToTar(archive, f, at); err != nil {
			return err
		}
	}
	return archive.Close()
}

func addToTar(archive *tar.Writer, f file, at time.Time) error {
	header := &tar.Header{
		Name: f.name, Mode: int64(f.mode.Perm()), ModTime: at, Format: tar.FormatPAX,
		Uid: f.owner, Gid: f.owner, Typeflag: tar.TypeReg,
	}
	// The sticky bit of /tmp is not in Perm.
	if f.mode&os.ModeSticky != 0 {
		header.Mode |= 0o1000
	}
	if f.dir {
		header.Typeflag, header.Name = tar.TypeDir, strings.TrimSuffix(f.name, "/")+"/"
		return archive.WriteHeader(header)
	}
	content, size, err := f.open()
	if err != nil {
		return err
	}
	defer content.Close()
	header.Size = size
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, content)
	return err
}

// writeTarGz writes a compressed tar archive. The header of gzip names no time.
func writeTarGz(path string, files []file, at time.Time) error {
	return writeFile(path, func(w io.Writer) error {
		compressed, err := gzip.NewWriterLevel(w, gzip.BestCompression)
		if err != nil {
			return err
		}
		if err := writeTar(compressed, files, at); err != nil {
			return err
		}
		return compressed.Close()
	})
}

// writeZip writes a zip archive, which is what Windows unpacks.
func writeZip(path string, files []file, at time.Time) error {
	return writeFile(path, func(w io.Writer) error {
		archive := zip.NewWriter(w)
		for _, f := range sorted(files) {
			if err := addToZip(archive, f, at); err != nil {
				return err
			}
		}
		return archive.Close()
	})
}

func addToZip(archive *zip.Writer, f file, at time.Time) error {
	header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: at}
	header.SetMode(f.mode)
	entry, err := archive.CreateHeader(header)
	if err != nil {
		return err
	}
	content, _, err := f.open()
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = io.Copy(entry, content)
	return err
}

// gzipped compresses a small file.
func gzipped(content []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// writeFile creates a file and reports also what only Close notices.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

func copyFile(from, to string, mode os.FileMode) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := writeFile(to, func(w io.Writer) error {
		_, err := io.Copy(w, source)
		return err
	}); err != nil {
		return err
	}
	return os.Chmod(to, mode)
}
