package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// oneWriter passes the MongoDB wire protocol on to FerretDB, one write at a time.
//
// SQLite has one writer. FerretDB lets several connections try at once, and each
// that finds the lock taken sleeps for 1, 2, 5, 10 ms and more. Here the next
// write waits ready to go until the one before is answered. Reads pass freely.
type oneWriter struct {
	dial func() (net.Conn, error)
	turn sync.Mutex
}

// Message header (MongoDB wire protocol), all little endian:
//
//	messageLength int32 | requestID int32 | responseTo int32 | opCode int32
//
// and of an OP_MSG after it:
//
//	flagBits uint32 | kind byte = 0 | BSON: length int32, type byte, key cstring ...
const (
	headerBytes = 16
	opMsg       = 2013
	moreToCome  = 1 << 1
	keyAt       = headerBytes + 4 + 1 + 4 + 1
	// The protocol's own bound.
	maxMessage = 48_000_000

	dialInterval = 10 * time.Millisecond
)

// Commands by the first key of their document.
var writes = [][]byte{
	[]byte("insert"), []byte("update"), []byte("delete"), []byte("findAndModify"),
	[]byte("create"), []byte("createIndexes"), []byte("drop"), []byte("dropDatabase"),
	[]byte("dropIndexes"), []byte("renameCollection"), []byte("collMod"),
}

// listen begins once FerretDB answers, so that who can connect can also ask.
func (w *oneWriter) listen(ctx context.Context, address string) error {
	for {
		server, err := w.dial()
		if err == nil {
			server.Close()
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(dialInterval):
		}
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer client.Close()
			server, err := w.dial()
			if err != nil {
				return
			}
			defer server.Close()
			// A client that leaves, or a server that ends, is the end of both.
			_ = w.pass(client, server)
		}()
	}
}

func (w *oneWriter) pass(client, server net.Conn) error {
	var request, response []byte
	var err error
	for {
		if request, err = readMessage(client, request); err != nil {
			return err
		}
		if response, err = w.ask(server, request, response); err != nil {
			return err
		}
		if len(response) == 0 {
			continue
		}
		if _, err = client.Write(response); err != nil {
			return err
		}
	}
}

// ask gives an empty response to what wants none.
func (w *oneWriter) ask(server net.Conn, request, buffer []byte) ([]byte, error) {
	if isWrite(request) {
		w.turn.Lock()
		defer w.turn.Unlock()
	}
	if _, err := server.Write(request); err != nil {
		return buffer, err
	}
	if wantsNone(request) {
		return buffer[:0], nil
	}
	return readMessage(server, buffer)
}

// readMessage reads into buffer, which grows as needed.
func readMessage(from io.Reader, buffer []byte) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return buffer, err
	}
	size := int(int32(binary.LittleEndian.Uint32(head[:])))
	if size < headerBytes || size > maxMessage {
		return buffer, fmt.Errorf("a message of %d bytes", size)
	}
	if cap(buffer) < size {
		buffer = make([]byte, size)
	}
	buffer = buffer[:size]
	copy(buffer, head[:])
	_, err := io.ReadFull(from, buffer[len(head):])
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return buffer, err
}

func opCode(message []byte) uint32 {
	return binary.LittleEndian.Uint32(message[12:])
}

func wantsNone(request []byte) bool {
	return opCode(request) == opMsg && len(request) > headerBytes+4 &&
		binary.LittleEndian.Uint32(request[headerBytes:])&moreToCome != 0
}

func isWrite(request []byte) bool {
	if opCode(request) != opMsg || len(request) <= keyAt {
		return false
	}
	key, _, found := bytes.Cut(request[keyAt:], []byte{0})
	if !found {
		return false
	}
	for _, name := range writes {
		if bytes.Equal(key, name) {
			return true
		}
	}
	return false
}
