// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"crypto/rand"
	"encoding/binary"
)

// A border tracker is told all bytes that pass and knows whether a message ends
// where they end. After toBorder a caller may write a message of its own.
type tracker interface {
	// toBorder takes bytes up to the first border, or all of them.
	toBorder(p []byte) (n int)

	// atBorder reports whether no message is under way.
	atBorder() bool
}

// pass tells a tracker about bytes that are passed on whatever they are.
func pass(t tracker, p []byte) {
	for len(p) > 0 {
		p = p[t.toBorder(p):]
	}
}

// frames follows WebSocket frames (RFC 6455, section 5.2). A Close frame may
// stand between the fragments of a message, so a frame's end is a border.
type frames struct {
	header [14]byte
	n      int    // bytes of the header so far
	left   uint64 // bytes of the payload to come
}

func (f *frames) atBorder() bool { return f.n == 0 && f.left == 0 }

// isClose reports whether the frame that ended last was a Close frame.
func (f *frames) isClose() bool { return f.header[0]&0x0f == 0x8 }

func (f *frames) toBorder(p []byte) (n int) {
	for n < len(p) {
		if f.left > 0 {
			part := min(f.left, uint64(len(p)-n))
			f.left -= part
			n += int(part) //nolint:gosec // at most len(p)
			if f.left == 0 {
				return n
			}
			continue
		}
		f.header[f.n] = p[n]
		f.n++
		n++
		if f.n < f.headerLength() {
			continue
		}
		f.left = f.payloadLength()
		f.n = 0
		if f.left == 0 {
			return n
		}
	}
	return n
}

// headerLength is that of the frame whose header is being read, as far as it is
// known.
func (f *frames) headerLength() int {
	if f.n < 2 {
		return 2
	}
	length := 2
	switch f.header[1] & 0x7f {
	case 126:
		length += 2
	case 127:
		length += 8
	}
	if f.header[1]&0x80 != 0 {
		length += 4 // the masking key
	}
	return length
}

func (f *frames) payloadLength() uint64 {
	switch short := f.header[1] & 0x7f; short {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.header[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.header[2:])
	default:
		return uint64(short)
	}
}

// closeFrame returns a Close frame with a code and a reason of at most 123
// bytes. Those of clients are masked.
func closeFrame(code int, reason string, isMasked bool) []byte {
	payload := binary.BigEndian.AppendUint16(nil, uint16(code)) //nolint:gosec // four digits
	payload = append(payload, reason...)
	frame := []byte{0x88, byte(len(payload))}
	if isMasked {
		frame[1] |= 0x80
		var key [4]byte
		_, _ = rand.Read(key[:]) // never fails
		frame = append(frame, key[:]...)
		for i := range payload {
			payload[i] ^= key[i%4]
		}
	}
	return append(frame, payload...)
}

// events follows server-sent events, which end with an empty line. Lines end
// with CR LF, LF or CR.
type events struct {
	begun     bool // bytes of an event have passed
	lineBegun bool
	afterCR   bool
}

func (e *events) atBorder() bool { return !e.begun }

func (e *events) toBorder(p []byte) (n int) {
	for n < len(p) {
		c := p[n]
		n++
		if c == '\n' && e.afterCR {
			e.afterCR = false // the second half of the line's end
			continue
		}
		e.afterCR = c == '\r'
		if c != '\n' && c != '\r' {
			e.begun, e.lineBegun = true, true
			continue
		}
		if e.lineBegun {
			e.lineBegun = false
			continue
		}
		e.begun = false
		if c == '\r' && n < len(p) && p[n] == '\n' {
			e.afterCR = false
			n++ // one line end of two bytes
		}
		return n
	}
	return n
}

// messages follows gRPC messages: a flag, four bytes of length, the message.
type messages struct {
	header [5]byte
	n      int
	left   uint32
}

func (m *messages) atBorder() bool { return m.n == 0 && m.left == 0 }

// isTrailers reports whether the message that ended last was the trailers of gRPC-Web.
func (m *messages) isTrailers() bool { return m.header[0]&0x80 != 0 }

func (m *messages) toBorder(p []byte) (n int) {
	for n < len(p) {
		if m.left > 0 {
			part := min(uint64(m.left), uint64(len(p)-n))
			m.left -= uint32(part) //nolint:gosec // at most m.left
			n += int(part)         //nolint:gosec // at most len(p)
			if m.left == 0 {
				return n
			}
			continue
		}
		m.header[m.n] = p[n]
		m.n++
		n++
		if m.n == len(m.header) {
			m.left, m.n = binary.BigEndian.Uint32(m.header[1:]), 0
			if m.left == 0 {
				return n
			}
		}
	}
	return n
}

// opaque is for bytes whose messages cannot be told apart: each place is one
// where the stream may be cut.
type opaque struct{}

func (opaque) atBorder() bool        { return true }
func (opaque) toBorder(p []byte) int { return len(p) }
