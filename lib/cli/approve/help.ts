/** The words of `kubectl approve --help`. */
export const APPROVE_USAGE = `kubectl approve: decide who may open a session in a pod

Usage:
  kubectl approve                              list the requests that wait for your decision
  kubectl approve NAME... [--reason TEXT]      approve
  kubectl approve deny NAME... --reason TEXT   deny
  kubectl approve show NAME...                 who asks, for what, by which policy, until when

Without a name it lists requests that you may decide: pending, not your own, and you are among the
approvers. It looks in all namespaces if you may list them there, else in the namespace of the
context; -n keeps it to one namespace. A NAME (apreq-7k2 or apreq/apreq-7k2) is looked up in the
namespace of the context and then, unless -n is given, in the others.

Flags:
  -n, --namespace NS     only this namespace
  -A, --all-namespaces   list in all namespaces, or fail
  -o, --output FORMAT    json, yaml, name or wide
  -w, --watch            go on listing requests as they come, until Ctrl-C
      --reason TEXT      why; shown to the requester and kept in the record (required to deny)
      --kubeconfig FILE  kubeconfig to use instead of KUBECONFIG or ~/.kube/config
      --context NAME     context of the kubeconfig
  -h, --help             this text

Exit codes: 0 done, 1 error, 2 usage, 3 refused by the server, 4 recorded but not yet acted on,
5 you may not decide this request, 6 the server is unreachable.
`
