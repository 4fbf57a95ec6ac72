// Command spdystream is the other end of the gateway's SPDY legs, by the library that kubectl and
// the kubelet use. "server" listens and does as the kubelet does; "client ADDRESS" does as kubectl
// does, and some things it does not, and prints what came of it: both for port-forward. "exec-server"
// and "exec-client" (exec.go) are the same for remote commands.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/moby/spdystream"
)

const patience = 30 * time.Second

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "server":
		err = serve()
	case len(os.Args) == 3 && os.Args[1] == "client":
		err = client(os.Args[2])
	case len(os.Args) == 2 && os.Args[1] == "exec-server":
		err = serveExec()
	case len(os.Args) == 4 && os.Args[1] == "exec-client":
		err = execClient(os.Args[2], os.Args[3])
	default:
		err = fmt.Errorf("usage: spdystream server | client ADDRESS | exec-server | exec-client ADDRESS WHAT")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// pairs are the streams of k8s.io/kubelet pkg/cri/streaming/portforward, by request id.
type pairs struct {
	sync.Mutex
	errors, datas map[string]*spdystream.Stream
}

func serve() error {
	return listen(func(socket net.Conn) error {
		connection, err := spdystream.NewConnection(socket, true)
		if err != nil {
			return err
		}
		known := &pairs{errors: map[string]*spdystream.Stream{}, datas: map[string]*spdystream.Stream{}}
		go connection.Serve(func(stream *spdystream.Stream) { known.take(stream) })
		return nil
	})
}

// listen prints its address and serves until the one that started us is gone.
func listen(serve func(net.Conn) error) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for {
		socket, err := listener.Accept()
		if err != nil {
			return err
		}
		if err := serve(socket); err != nil {
			return err
		}
	}
}

func (p *pairs) take(stream *spdystream.Stream) {
	headers := stream.Headers()
	id, port := headers.Get("requestid"), headers.Get("port")
	if port == "84" {
		_ = stream.Refuse()
		return
	}
	_ = stream.SendReply(http.Header{}, false)
	p.Lock()
	defer p.Unlock()
	if headers.Get("streamtype") == "error" {
		p.errors[id] = stream
	} else {
		p.datas[id] = stream
	}
	if p.errors[id] != nil && p.datas[id] != nil {
		go forward(port, p.datas[id], p.errors[id])
		delete(p.errors, id)
		delete(p.datas, id)
	}
}

func forward(port string, data, failure *spdystream.Stream) {
	switch port {
	case "81":
		fmt.Fprint(failure, "error forwarding port 81: connection refused")
	case "82":
		_ = data.Reset()
		_ = failure.Reset()
		// Late: the library writes on a stream it has reset.
		_, _ = data.Write([]byte("late"))
		return
	case "83":
		// Half-closed by the pod first; what comes afterwards is still read.
		fmt.Fprint(data, "bye")
		_ = data.Close()
		_, _ = io.ReadAll(data)
		_ = failure.Close()
		return
	case "85":
		// As containerd 1.6 when nobody listens: neither read nor reset.
		return
	default:
		_, _ = io.Copy(data, data)
	}
	_ = failure.Close()
	_ = data.Close()
}

// writeData writes one DATA frame behind the library's back: | 0 | stream 31 | flags 8 | length 24 | data |
func writeData(socket net.Conn, stream uint32, text string) error {
	frame := make([]byte, 8, 8+len(text))
	binary.BigEndian.PutUint32(frame, stream)
	binary.BigEndian.PutUint32(frame[4:], uint32(len(text)))
	_, err := socket.Write(append(frame, text...))
	return err
}

type dialer struct {
	*spdystream.Connection
	socket net.Conn
	sync.Mutex
	next int
}

func (d *dialer) stream(kind string, port int, id string) (*spdystream.Stream, error) {
	stream, err := d.CreateStream(http.Header{
		"Streamtype": {kind}, "Port": {strconv.Itoa(port)}, "Requestid": {id},
	}, nil, false)
	if err != nil {
		return nil, err
	}
	return stream, stream.WaitTimeout(patience)
}

// forward says text on one connection as client-go's handleConnection does, and returns what came.
func (d *dialer) forward(port int, text string) (string, error) {
	d.Lock()
	id := strconv.Itoa(d.next)
	d.next++
	d.Unlock()
	failure, err := d.stream("error", port, id)
	if err != nil {
		return "", err
	}
	_ = failure.Close()
	data, err := d.stream("data", port, id)
	if err != nil {
		return "", err
	}
	if _, err := data.Write([]byte(text)); err != nil {
		return "", err
	}
	_ = data.Close()
	said, err := io.ReadAll(data)
	if err != nil {
		return "", err
	}
	_ = data.Reset()
	why, err := io.ReadAll(failure)
	if err != nil {
		return "", err
	}
	return string(said) + string(why), nil
}

func client(address string) error {
	socket, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	connection, err := spdystream.NewConnection(socket, false)
	if err != nil {
		return err
	}
	go connection.Serve(spdystream.NoOpStreamHandler)
	d := &dialer{Connection: connection, socket: socket}
	steps := []struct {
		name string
		run  func() (string, error)
	}{
		{"echo", func() (string, error) { return d.forward(80, "hello") }},
		{"failed", func() (string, error) { return d.forward(81, "hello") }},
		{"reset", func() (string, error) { return d.forward(82, "hello") }},
		{"refused", d.refused},
		{"duplicate", d.duplicate},
		{"late", d.late},
		{"unknown", d.unknown},
		{"ping", func() (string, error) { _, err := d.Ping(); return "pong", err }},
		{"parallel", d.parallel},
		{"sequential", d.sequential},
	}
	for _, step := range steps {
		said, err := step.run()
		if err != nil {
			said = "error: " + err.Error()
		}
		fmt.Printf("%s=%s\n", step.name, said)
	}
	return connection.Close()
}

// A port that is none: this stream alone is reset.
func (d *dialer) refused() (string, error) {
	_, err := d.stream("error", 0, "none")
	if err == nil {
		return "", fmt.Errorf("accepted")
	}
	return err.Error(), nil
}

// A second stream of a kind for one request id: it is reset, the first lives on.
func (d *dialer) duplicate() (string, error) {
	failure, err := d.stream("error", 80, "twice")
	if err != nil {
		return "", err
	}
	data, err := d.stream("data", 80, "twice")
	if err != nil {
		return "", err
	}
	if _, err := d.stream("data", 80, "twice"); err == nil {
		return "", fmt.Errorf("accepted")
	}
	_, _ = data.Write([]byte("first"))
	_ = data.Close()
	said, err := io.ReadAll(data)
	_ = failure.Close()
	return string(said), err
}

// Data on a stream that was reset.
func (d *dialer) late() (string, error) {
	failure, err := d.stream("error", 80, "late")
	if err != nil {
		return "", err
	}
	data, err := d.stream("data", 80, "late")
	if err != nil {
		return "", err
	}
	_ = data.Cancel()
	_, _ = data.Write([]byte("too late"))
	_ = failure.Close()
	return d.forward(80, "after")
}

// Data on a stream that never was.
func (d *dialer) unknown() (string, error) {
	if err := writeData(d.socket, 999_999_999, "who?"); err != nil {
		return "", err
	}
	return d.forward(80, "after")
}

func (d *dialer) parallel() (string, error) {
	failures := make(chan error, 200)
	for n := range 200 {
		go func() {
			want := fmt.Sprint("parallel ", n)
			said, err := d.forward(80, want)
			if err == nil && said != want {
				err = fmt.Errorf("%q came as %q", want, said)
			}
			failures <- err
		}()
	}
	for range 200 {
		if err := <-failures; err != nil {
			return "", err
		}
	}
	return "200", nil
}

func (d *dialer) sequential() (string, error) {
	for n := range 10_000 {
		want := fmt.Sprint("sequential ", n)
		said, err := d.forward(80, want)
		if err != nil {
			return "", fmt.Errorf("%d: %w", n, err)
		}
		if said != want {
			return "", fmt.Errorf("%q came as %q", want, said)
		}
	}
	return "10000", nil
}
