module podgate.dev/test/cluster/spdystream

go 1.24.0

require github.com/moby/spdystream v0.5.1
