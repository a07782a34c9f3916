// SPDX-License-Identifier: Apache-2.0

package streams

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// borderWait is how long the end of a message under way is waited for.
const borderWait = time.Second

// errEnded is the cause with which the work for a stream is cancelled.
var errEnded = errors.New("the stream was ended")

// bodyWriter ends a stream that is the body of an answer. Only the goroutine of
// the request writes: ending the stream cancels the request, which brings
// that goroutine back here.
type bodyWriter struct {
	http.ResponseWriter
	stream *Stream
	cancel context.CancelCauseFunc
	event  string // name of a last event, "" for none

	mu        sync.Mutex
	tracker   tracker // nil as long as this is not a stream
	protocol  Protocol
	hasHeader bool
	isEncoded bool // messages cannot be told apart, and the encoder has a last word
	isEnding  atomic.Bool
	isOver    bool // nothing more is passed on
}

// Unwrap is for http.ResponseController.
func (b *bodyWriter) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// track makes the answer a stream from here on.
func (b *bodyWriter) track(t tracker, protocol Protocol) {
	b.mu.Lock()
	b.tracker, b.protocol = t, protocol
	b.mu.Unlock()
	b.stream.arm(protocol, b)
}

// WriteHeader finds out whether the answer is a stream.
func (b *bodyWriter) WriteHeader(status int) {
	if status >= 200 && !b.hasHeader {
		b.hasHeader = true
		b.recognize(status)
	}
	b.ResponseWriter.WriteHeader(status)
}

func (b *bodyWriter) recognize(status int) {
	h := b.Header()
	encoding := h.Get("Content-Encoding")
	b.isEncoded = encoding != "" && encoding != "identity"
	if b.tracker != nil {
		return // gRPC
	}
	mediaType, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	isEventStream := mediaType == "text/event-stream"
	switch {
	case isEventStream && b.isEncoded:
		b.track(opaque{}, EventStream)
	case isEventStream:
		b.track(&events{}, EventStream)
	case !b.isEncoded && (mediaType == "application/grpc-web" || strings.HasPrefix(mediaType, "application/grpc-web+")):
		b.track(&messages{}, GRPCWeb) // its text, which is base64, is cut
	case h.Get("Content-Length") == "" && status != http.StatusNoContent && status != http.StatusNotModified:
		b.track(opaque{}, Other) // it may go on for as long as it likes
	}
}

// Write passes on what belongs to messages that began before the end.
func (b *bodyWriter) Write(p []byte) (n int, err error) {
	if !b.hasHeader {
		b.WriteHeader(http.StatusOK)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tracker == nil {
		return b.ResponseWriter.Write(p)
	}
	if b.isOver && !b.isEncoded {
		return 0, errEnded
	}
	if !b.isEnding.Load() || b.isEncoded {
		pass(b.tracker, p)
		return b.ResponseWriter.Write(p)
	}
	last := p[:b.tracker.toBorder(p)]
	n, err = b.ResponseWriter.Write(last)
	if err == nil && b.tracker.atBorder() {
		b.isOver = true
		err = errEnded
	}
	return n, err
}

// end ends the stream at the next border, or in a second.
func (b *bodyWriter) end(Reason) {
	b.isEnding.Store(true)
	time.AfterFunc(borderWait, b.cut)
	go func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.tracker.atBorder() {
			b.isOver = true
			b.cancel(errEnded)
		}
	}()
}

// cut ends the stream now, wherever it is.
func (b *bodyWriter) cut() {
	if b.stream.isGone() {
		return
	}
	b.cancel(errEnded)
	if b.mu.TryLock() {
		b.isOver = true
		b.mu.Unlock()
		return
	}
	// It is being written to a client that does not read.
	b.stream.unlessGone(func() { _ = http.NewResponseController(b.ResponseWriter).SetWriteDeadline(time.Now()) })
}

// serve passes the request on and writes the stream's last words.
func (b *bodyWriter) serve(r *http.Request, next caddyhttp.Handler) (err error) {
	defer func() {
		if reason := b.stream.ended(); reason != "" && b.isEnding.Load() {
			aborted := recover()
			if aborted != nil && aborted != http.ErrAbortHandler { //nolint:errorlint // a panic's value
				panic(aborted)
			}
			err = b.finish(reason)
		}
	}()
	return next.ServeHTTP(b, r)
}

// finish says what the protocol has for the end of a stream.
func (b *bodyWriter) finish(reason Reason) error {
	switch {
	case b.protocol == GRPC:
		b.finishGRPC(reason)
	case b.protocol == GRPCWeb:
		b.finishGRPCWeb(reason)
	case b.protocol == Other:
		panic(http.ErrAbortHandler) // a shorter answer must not look like a whole one
	case b.event != "" && !b.isEncoded && b.tracker.atBorder():
		if _, err := fmt.Fprintf(b.ResponseWriter, "event: %s\ndata: %s\n\n", b.event, reason); err != nil {
			return nil //nolint:nilerr // the client is gone, and the stream over
		}
		_ = http.NewResponseController(b.ResponseWriter).Flush()
	}
	return nil
}

// unauthenticated is the code of gRPC for a call without a valid token.
const unauthenticated = "16"

// finishGRPC sets the trailers of a refused call (gRPC over HTTP/2, "Responses").
func (b *bodyWriter) finishGRPC(reason Reason) {
	if !b.tracker.atBorder() {
		panic(http.ErrAbortHandler)
	}
	h := b.Header()
	if !b.hasHeader {
		h.Set("Content-Type", "application/grpc")
		b.ResponseWriter.WriteHeader(http.StatusOK)
	}
	h.Set(http.TrailerPrefix+"Grpc-Status", unauthenticated)
	h.Set(http.TrailerPrefix+"Grpc-Message", string(reason))
}

// finishGRPCWeb writes the trailers of a refused call as the last message, which a flag
// tells from others (gRPC-Web, "Protocol differences vs gRPC over HTTP2").
func (b *bodyWriter) finishGRPCWeb(reason Reason) {
	if !b.tracker.atBorder() {
		panic(http.ErrAbortHandler)
	}
	if m, ok := b.tracker.(*messages); ok && m.isTrailers() {
		return // the upstream has said how the call ended
	}
	trailers := "grpc-status:" + unauthenticated + "\r\ngrpc-message:" + string(reason) + "\r\n"
	last := binary.BigEndian.AppendUint32([]byte{0x80}, uint32(len(trailers))) //nolint:gosec // short
	if _, err := b.ResponseWriter.Write(append(last, trailers...)); err == nil {
		_ = http.NewResponseController(b.ResponseWriter).Flush()
	}
}
