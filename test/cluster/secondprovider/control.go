package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// front is where people and clients come; it can be away, while everything else is kept.
type front struct {
	settings config
	handler  http.Handler

	lock   sync.Mutex
	server *http.Server
}

func (f *front) up() error {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.server != nil {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(f.settings.Certificate, f.settings.PrivateKey)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", f.settings.Listen)
	if err != nil {
		return err
	}
	f.server = &http.Server{
		Handler:           f.handler,
		ReadHeaderTimeout: 10 * time.Second,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{pair}},
	}
	go func(server *http.Server) {
		if err := server.ServeTLS(listener, "", ""); err != http.ErrServerClosed {
			fail(err)
		}
	}(f.server)
	return nil
}

func (f *front) down() error {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.server == nil {
		return nil
	}
	err := f.server.Close()
	f.server = nil
	return err
}

// control is what happens to a provider in real life. Each answer says that it has happened.
type control struct {
	store *store
	keys  *keys
	front *front
}

func serveControl(socket string, c *control) error {
	mux := http.NewServeMux()
	on := func(name string, do func() error) {
		mux.HandleFunc("POST /"+name, func(answer http.ResponseWriter, _ *http.Request) {
			if err := do(); err != nil {
				http.Error(answer, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	on("add-key", func() error { return c.keys.rotate(true) })
	on("replace-keys", func() error { return c.keys.rotate(false) })
	on("end-sign-ins", c.store.endSignIns)
	on("down", c.front.down)
	on("up", c.front.up)
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(listener)
}
