// Reads requests, says how the Kubernetes API server reads them: the second
// opinion on lib/proxy/request-info.ts.
//
// Standard input holds one JSON object per line, {"method": …, "target": …};
// each character of the target is one byte of the request line (Latin-1).
// Standard output gets one line for each, in order.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/klog/v2"
)

type question struct {
	Method string `json:"method"`
	Target string `json:"target"`
}

type answer struct {
	// Error is set when the request does not reach a handler, or is answered with an error there.
	Error             string   `json:"error,omitempty"`
	Path              string   `json:"path"`
	IsResourceRequest bool     `json:"isResourceRequest"`
	Verb              string   `json:"verb"`
	APIPrefix         string   `json:"apiPrefix"`
	APIGroup          string   `json:"apiGroup"`
	APIVersion        string   `json:"apiVersion"`
	Namespace         string   `json:"namespace"`
	Resource          string   `json:"resource"`
	Subresource       string   `json:"subresource"`
	Name              string   `json:"name"`
	Parts             []string `json:"parts"`
}

// As in k8s.io/apiserver pkg/server/config.go, NewRequestInfoResolver.
var resolver = request.RequestInfoFactory{
	APIPrefixes:          sets.NewString("api", "apis"),
	GrouplessAPIPrefixes: sets.NewString("api"),
}

func latin1(text string) (string, error) {
	var bytes strings.Builder
	for _, char := range text {
		if char > 0xff {
			return "", fmt.Errorf("the target holds U+%04X, which is no byte", char)
		}
		bytes.WriteByte(byte(char))
	}
	return bytes.String(), nil
}

// Read by net/http from bytes, since that is who decodes the path.
func resolve(asked question) (answer, error) {
	target, err := latin1(asked.Target)
	if err != nil {
		return answer{}, err
	}
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n", asked.Method, target)
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	if err != nil {
		return answer{}, err
	}
	info, err := resolver.NewRequestInfo(req)
	if err != nil {
		return answer{}, err
	}
	return answer{
		Path:              info.Path,
		IsResourceRequest: info.IsResourceRequest,
		Verb:              info.Verb,
		APIPrefix:         info.APIPrefix,
		APIGroup:          info.APIGroup,
		APIVersion:        info.APIVersion,
		Namespace:         info.Namespace,
		Resource:          info.Resource,
		Subresource:       info.Subresource,
		Name:              info.Name,
		Parts:             info.Parts,
	}, nil
}

func main() {
	// Selectors that do not parse are logged with a stack, once per request.
	klog.SetLogger(klog.Logger{})
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 1<<20)
	output := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(output)
	for input.Scan() {
		var asked question
		var answered answer
		err := json.Unmarshal(input.Bytes(), &asked)
		if err == nil {
			answered, err = resolve(asked)
		}
		if err != nil {
			answered = answer{Error: err.Error()}
		}
		if encoder.Encode(answered) != nil || output.Flush() != nil {
			os.Exit(1)
		}
	}
	if err := input.Err(); err != nil {
		fmt.Fprintf(os.Stderr, "requestinfo: %v\n", err)
		os.Exit(1)
	}
}
