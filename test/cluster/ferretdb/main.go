// Command ferretdb serves the MongoDB wire protocol on one loopback address,
// keeping its data in SQLite files. It stands in for a mongod where none can
// be installed: the sandbox and the tests start it.
//
// FerretDB's own command cannot be built outside its repository, so this uses
// the package made for embedding.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

// A document of a transcript takes 100 KiB and more. In pages of 4 KiB, SQLite's
// default, that is a chain of dozens, each with its header and checksum in the
// log; and the log is copied back every 1,000 pages. This is the largest there is.
const pageSize = "65536"

func main() {
	listen := flag.String("listen", "127.0.0.1:27017", "TCP address to serve the MongoDB wire protocol on")
	data := flag.String("data", "", "folder for the SQLite files (must exist)")
	flag.Parse()
	if *data == "" {
		fmt.Fprintln(os.Stderr, "ferretdb: --data is required")
		os.Exit(2)
	}
	text := slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})
	logger := slog.New(lateHandler{next: text})
	// An abstract address: the folder of the data may have too long a path for a
	// socket, and nothing is left behind.
	inner := fmt.Sprintf("@podgate-ferretdb-%d", os.Getpid())
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{Unix: inner},
		Logger:    logger,
		Handler:   "sqlite",
		SQLiteURL: "file:" + *data + "/?_pragma=page_size(" + pageSize + ")",
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "ferretdb:", err)
		os.Exit(1)
	}
	// Documents of a transcript are large and short-lived; collecting less often
	// saves a fifth of the CPU time for some 40 MB of memory.
	debug.SetGCPercent(400)
	// SQLite writes one thing after another: a second thread would mostly look for
	// work, on a processor that others need.
	runtime.GOMAXPROCS(1)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		writer := &oneWriter{dial: func() (net.Conn, error) { return net.Dial("unix", inner) }}
		if err := writer.listen(ctx, *listen); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "ferretdb:", err)
			os.Exit(1)
		}
	}()
	go keepIDsIndexed(ctx, *data, logger)
	if err := server.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "ferretdb:", err)
		os.Exit(1)
	}
}
