// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// frame writes a WebSocket frame the way RFC 6455, section 5.2, draws it.
func frame(first byte, payload []byte, isMasked bool) []byte {
	out := []byte{first, 0}
	switch n := len(payload); {
	case n < 126:
		out[1] = byte(n)
	case n < 1<<16:
		out[1] = 126
		out = binary.BigEndian.AppendUint16(out, uint16(n))
	default:
		out[1] = 127
		out = binary.BigEndian.AppendUint64(out, uint64(n))
	}
	if isMasked {
		out[1] |= 0x80
		out = append(out, 0, 0, 0, 0)
	}
	return append(out, payload...)
}

// message writes a gRPC message.
func message(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(payload))), payload...)
}

func filled(n int) []byte { return bytes.Repeat([]byte{0x88}, n) }

func TestBorders(t *testing.T) {
	for name, tc := range map[string]struct {
		tracker func() tracker
		parts   [][]byte // each ends at a border
	}{
		"frames of every length": {func() tracker { return new(frames) }, [][]byte{
			frame(0x81, nil, false), frame(0x82, filled(1), false), frame(0x82, filled(125), true),
			frame(0x82, filled(126), false), frame(0x82, filled(65535), true), frame(0x82, filled(65536), false),
		}},
		"fragments with a ping between them, compressed": {func() tracker { return new(frames) }, [][]byte{
			frame(0x41, filled(10), true), frame(0x89, nil, true), frame(0x00, filled(300), true), frame(0x80, filled(3), true),
		}},
		"events": {func() tracker { return new(events) }, [][]byte{
			[]byte("data: 1\n\n"), []byte("event: x\ndata: 2\ndata: 3\n\n"), []byte(":comment\n\n"),
			[]byte("data: 1\r\n\r\n"), []byte("data: 1\r\r"), []byte("data: 1\n\n"),
		}},
		"gRPC messages": {func() tracker { return new(messages) }, [][]byte{
			message(nil), message(filled(1)), message(filled(70000)),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			whole := slices.Concat(tc.parts...)
			for _, size := range []int{1, 2, 3, 7, 1000, len(whole)} {
				tracker := tc.tracker()
				var borders []int
				for at := 0; at < len(whole); {
					chunk := whole[at:min(at+size, len(whole))]
					for len(chunk) > 0 {
						n := tracker.toBorder(chunk)
						chunk, at = chunk[n:], at+n
						if tracker.atBorder() && (len(borders) == 0 || borders[len(borders)-1] != at) {
							borders = append(borders, at)
						}
					}
				}
				end := 0
				for i, part := range tc.parts {
					end += len(part)
					if !slices.Contains(borders, end) {
						t.Errorf("in pieces of %d: no border after part %d (byte %d), got %v", size, i, end, borders)
					}
				}
				// The halves of CR LF are one border wherever they are torn apart.
				for _, at := range borders {
					if !isEnd(tc.parts, at) && !(whole[at-1] == '\r' && whole[at] == '\n') && !(whole[at-1] == '\n' && whole[at-2] == '\r') {
						t.Errorf("in pieces of %d: a border within a part, after %q", size, whole[:at][max(0, at-10):])
					}
				}
			}
		})
	}
}

func isEnd(parts [][]byte, at int) bool {
	for _, part := range parts {
		if at -= len(part); at == 0 {
			return true
		}
	}
	return false
}

func TestCloseFrames(t *testing.T) {
	if got, want := closeFrame(3000, "token_expired", false), append([]byte{0x88, 15, 0x0b, 0xb8}, "token_expired"...); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	masked := closeFrame(1001, "", true)
	if len(masked) != 8 || masked[0] != 0x88 || masked[1] != 0x82 {
		t.Fatalf("got %x, want a masked Close frame", masked)
	}
	if code := binary.BigEndian.Uint16([]byte{masked[6] ^ masked[2], masked[7] ^ masked[3]}); code != 1001 {
		t.Errorf("unmasked: got %d, want 1001", code)
	}
	var f frames
	pass(&f, masked)
	if !f.atBorder() || !f.isClose() {
		t.Error("a Close frame is not recognised as one")
	}
}

// Whatever comes and however it is torn apart, a tracker takes every byte once and
// is in the same state afterwards.
func FuzzTrackers(f *testing.F) {
	f.Add([]byte("data: 1\r\n\r\ndata: 2\n\n"), uint8(3))
	f.Add(frame(0x82, filled(300), true), uint8(1))
	f.Add(message(filled(10)), uint8(4))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		for _, pair := range [][2]tracker{{new(frames), new(frames)}, {new(events), new(events)}, {new(messages), new(messages)}} {
			pass(pair[0], data)
			for rest := data; len(rest) > 0; {
				n := min(int(size)+1, len(rest))
				pass(pair[1], rest[:n])
				rest = rest[n:]
			}
			if pair[0].atBorder() != pair[1].atBorder() {
				t.Errorf("%T: at a border: %t in one piece, %t in pieces of %d", pair[0], pair[0].atBorder(), pair[1].atBorder(), int(size)+1)
			}
		}
	})
}

func TestProtocols(t *testing.T) {
	for header, want := range map[string]Protocol{
		"Upgrade: websocket": WebSocket, "Upgrade: WebSocket": WebSocket,
		"Accept: text/event-stream": EventStream, "Accept: application/json, Text/Event-Stream;q=0.5": EventStream,
		"Content-Type: application/grpc": GRPC, "Content-Type: application/grpc+proto": GRPC, "Content-Type: application/GRPC; x=y": GRPC,
		"Content-Type: application/grpc-web": "grpc-web", "Content-Type: Application/gRPC-Web-text+proto": "grpc-web", "Content-Type: application/grpcx": "", "Content-Type: application/json": "", "Accept: text/html": "", "Accept: */*": "",
		"Accept: application/signed-exchange;v=b3, text/event-stream": EventStream, "Accept: TEXT/EVENT-STREAM": EventStream,
		"Accept: -": "", "Accept: text/event-": "", "Accept: /event-stream": "", "Accept: text/event_stream, x-y/z-stream": "",
	} {
		name, value, _ := strings.Cut(header, ": ")
		r := newRequest(t, "http://gateway/")
		r.Header.Set(name, value)
		if got := protocolOf(r); got != want {
			t.Errorf("%s: got %q, want %q", header, got, want)
		}
	}
}
