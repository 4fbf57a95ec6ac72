package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/moby/spdystream"
)

// The streams of one remote command, by streamtype (k8s.io/kubelet pkg/cri/streaming/remotecommand).
var kinds = []string{"error", "stdin", "stdout", "stderr", "resize"}

type command struct {
	socket net.Conn
	*spdystream.Connection
	streams map[string]*spdystream.Stream
}

func serveExec() error {
	return listen(func(socket net.Conn) error {
		c := &command{socket: socket, streams: map[string]*spdystream.Stream{}}
		var turn sync.Mutex
		var err error
		if c.Connection, err = spdystream.NewConnection(socket, true); err != nil {
			return err
		}
		go c.Serve(func(stream *spdystream.Stream) {
			_ = stream.SendReply(http.Header{}, false)
			turn.Lock()
			defer turn.Unlock()
			c.streams[stream.Headers().Get("streamtype")] = stream
			if len(c.streams) == len(kinds) {
				go c.run()
			}
		})
		return nil
	})
}

// run does what the first line of stdin says, as a kubelet or as no kubelet would.
func (c *command) run() {
	stdin, stdout, stderr, status := c.streams["stdin"], c.streams["stdout"], c.streams["stderr"], c.streams["error"]
	var line []byte
	for one := make([]byte, 1); ; {
		if _, err := io.ReadFull(stdin, one); err != nil || one[0] == '\n' {
			break
		}
		line = append(line, one[0])
	}
	switch string(line) {
	case "echo":
		_, _ = io.Copy(stdout, stdin)
		fmt.Fprint(stdout, " after the half-close")
	case "bulk":
		piece := strings.Repeat("0123456789abcdef", 2048)
		for range 128 {
			fmt.Fprint(stdout, piece)
			fmt.Fprint(stderr, piece[:1024])
		}
	case "resize":
		size := make([]byte, 64)
		n, _ := c.streams["resize"].Read(size)
		_, _ = stdout.Write(size[:n])
	case "late":
		// Data on a stream after its end.
		fmt.Fprint(stdout, "in time")
		_ = stdout.Close()
		_ = writeData(c.socket, stdout.Identifier(), " too late")
	case "reset":
		fmt.Fprint(stdout, "before")
		_ = stdout.Reset()
	case "unknown":
		_ = writeData(c.socket, 999, "who?")
		fmt.Fprint(stdout, "known")
	case "opens":
		// A server of remote commands never opens a stream.
		_, _ = c.CreateStream(http.Header{"Streamtype": {"stdout"}}, nil, false)
		fmt.Fprint(stdout, "opened")
	case "vanish":
		fmt.Fprint(stdout, "half")
		_ = c.socket.Close()
		return
	}
	fmt.Fprint(status, `{"status":"Success"}`)
	for _, stream := range []*spdystream.Stream{stdout, stderr, status} {
		_ = stream.Close()
	}
	_ = c.Close()
}

// execClient opens the streams as client-go does, does what name says, and prints what came.
func execClient(address, name string) error {
	socket, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	c := &command{socket: socket, streams: map[string]*spdystream.Stream{}}
	if c.Connection, err = spdystream.NewConnection(socket, false); err != nil {
		return err
	}
	go c.Serve(spdystream.NoOpStreamHandler)
	for _, kind := range kinds {
		if name == "duplicate" && kind == "resize" {
			kind = "stdout"
		}
		if err := c.open(kind); err != nil {
			fmt.Println("refused=" + kind)
			return nil
		}
	}
	if err := c.speak(name); err != nil || name == "vanish" {
		return err
	}
	var said [3]string
	var done sync.WaitGroup
	for at, kind := range []string{"stdout", "stderr", "error"} {
		done.Add(1)
		go func() {
			defer done.Done()
			text, err := io.ReadAll(c.streams[kind])
			said[at] = string(text)
			if err != nil {
				said[at] += " " + err.Error()
			}
		}()
	}
	done.Wait()
	fmt.Printf("stdout=%s\nstderr=%s\nerror=%s\n", said[0], said[1], said[2])
	// The gateway may have closed it first.
	_ = c.Close()
	return nil
}

func (c *command) open(kind string) error {
	stream, err := c.CreateStream(http.Header{"Streamtype": {kind}}, nil, false)
	if err != nil {
		return err
	}
	answered := make(chan error, 1)
	go func() { answered <- stream.WaitTimeout(patience) }()
	select {
	case err = <-answered:
	case <-c.CloseChan():
		err = io.EOF
	}
	if err != nil {
		return err
	}
	if kind != "stdin" && kind != "resize" {
		_ = stream.Close()
	}
	c.streams[kind] = stream
	return nil
}

func (c *command) speak(name string) error {
	stdin := c.streams["stdin"]
	switch name {
	case "resize":
		fmt.Fprint(c.streams["resize"], `{"Width":80,"Height":24}`)
	case "bulk":
		piece := strings.Repeat("0123456789abcdef", 2048)
		for range 128 {
			fmt.Fprint(stdin, piece)
		}
	case "unknown":
		if err := writeData(c.socket, 998, "who?"); err != nil {
			return err
		}
		fmt.Fprint(stdin, "known")
	case "late":
		fmt.Fprint(stdin, "in time")
		_ = stdin.Close()
		return writeData(c.socket, stdin.Identifier(), " too late")
	case "reset":
		fmt.Fprint(stdin, "before")
		return stdin.Reset()
	case "vanish":
		fmt.Fprint(stdin, "half")
		return c.socket.Close()
	default:
		fmt.Fprint(stdin, "hello")
	}
	return stdin.Close()
}
