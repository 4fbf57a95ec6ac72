//go:build pin

// Package kubernetes136 pins a newer API server, for what the sandbox's own does not know yet:
// `go mod tidy` keeps what this import needs in go.sum.
package kubernetes136

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
