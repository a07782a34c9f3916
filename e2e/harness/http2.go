// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// HTTP2 returns a client that writes HTTP/2 frames by hand, without TLS, each
// request on a connection of its own. The target is sent in :path
// unchanged, and nothing is retried, unlike with net/http's client.
func HTTP2(addr string) Client { return http2Client{addr} }

type http2Client struct{ addr string }

func (http2Client) Protocol() string { return "HTTP/2" }

// window is how much of an answer may be under way; more than any test's.
const window = 8 << 20

func (c http2Client) Do(ctx context.Context, request Request) (*Response, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	framer.MaxHeaderListSize = 1 << 20
	if err := c.write(conn, framer, request); err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	response, err := readFrames(framer)
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return response, nil
}

// stream is the only stream of a connection.
const stream = 1

func (c http2Client) write(conn net.Conn, framer *http2.Framer, request Request) error {
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		return err
	}
	if err := framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}); err != nil {
		return err
	}
	if err := framer.WriteWindowUpdate(0, window); err != nil {
		return err
	}
	// A frame holds 16 KiB; what is beyond goes into continuations.
	const frame = 16 << 10
	block := c.encode(request)
	first := block[:min(len(block), frame)]
	block = block[len(first):]
	if err := framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: first, EndStream: request.Body == "", EndHeaders: len(block) == 0,
	}); err != nil {
		return err
	}
	for len(block) > 0 {
		next := block[:min(len(block), frame)]
		block = block[len(next):]
		if err := framer.WriteContinuation(stream, len(block) == 0, next); err != nil {
			return err
		}
	}
	if request.Body == "" {
		return nil
	}
	return framer.WriteData(stream, true, []byte(request.Body))
}

// encode writes the header block. Names are in lower case, as HTTP/2 has
// them; everything else is as the test wrote it.
func (c http2Client) encode(request Request) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	field := func(name, value string) { encoder.WriteField(hpack.HeaderField{Name: name, Value: value}) }
	authority := c.addr
	for _, f := range request.Fields {
		if strings.EqualFold(f.Name, "Host") {
			authority = f.Value
		}
	}
	method := request.Method
	if method == "" {
		method = http.MethodGet
	}
	field(":method", method)
	field(":scheme", "http")
	field(":authority", authority)
	field(":path", request.Target)
	for _, f := range request.Fields {
		if name := strings.ToLower(f.Name); name != "host" {
			field(name, f.Value)
		}
	}
	if request.Body != "" {
		field("content-length", strconv.Itoa(len(request.Body)))
	}
	return block.Bytes()
}

func readFrames(framer *http2.Framer) (*Response, error) {
	var response *Response
	var body bytes.Buffer
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return nil, err
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				if err := framer.WriteSettingsAck(); err != nil {
					return nil, err
				}
			}
		case *http2.MetaHeadersFrame:
			if response == nil {
				response = &Response{Header: http.Header{}}
			}
			for _, f := range frame.Fields {
				if f.Name == ":status" {
					if response.Status, err = strconv.Atoi(f.Value); err != nil {
						return nil, err
					}
					continue
				}
				response.Header.Add(f.Name, f.Value)
			}
			if response.Status < 200 {
				response = nil // an interim answer
			}
		case *http2.DataFrame:
			body.Write(frame.Data())
		case *http2.RSTStreamFrame:
			return nil, fmt.Errorf("the stream was reset: %s", frame.ErrCode)
		case *http2.GoAwayFrame:
			return nil, fmt.Errorf("the connection was given up: %s", frame.ErrCode)
		}
		if ended, ok := frame.(interface{ StreamEnded() bool }); ok && ended.StreamEnded() {
			if response == nil {
				return nil, fmt.Errorf("an answer without a status")
			}
			response.Body = body.String()
			return response, nil
		}
	}
}
