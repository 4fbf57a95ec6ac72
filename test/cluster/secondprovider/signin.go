package main

import (
	"context"
	"errors"
	"html/template"
	"net/http"
)

const signInPath = "/sign-in"

var errWrongPassword = errors.New("wrong name or password")

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in - second provider</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><main><h1>Sign in</h1>
{{with .Problem}}<p role="alert">{{.}}</p>{{end}}
{{with .Request}}<form method="post" action="` + signInPath + `">
<input type="hidden" name="request" value="{{.}}">
<p><label>Name <input name="name" autocomplete="username" required autofocus></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required></label></p>
<p><button>Sign in</button></p>
</form>{{end}}
</main></body></html>
`))

func signIn(people *store, callback func(context.Context, string) string) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		in.Body = http.MaxBytesReader(out, in.Body, 16*1024)
		id := in.FormValue("request")
		if in.Method != http.MethodPost {
			show(out, http.StatusOK, id, "")
			return
		}
		err := people.signIn(id, in.PostFormValue("name"), in.PostFormValue("password"))
		switch {
		case err == nil:
			http.Redirect(out, in, callback(in.Context(), id), http.StatusSeeOther)
		case errors.Is(err, errWrongPassword):
			show(out, http.StatusUnauthorized, id, "This name and password do not belong together.")
		default:
			show(out, http.StatusBadRequest, "", "This sign-in is no longer open.")
		}
	})
}

func show(out http.ResponseWriter, status int, request, problem string) {
	header := out.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
	header.Set("Referrer-Policy", "no-referrer")
	out.WriteHeader(status)
	// The browser may be gone; there is nobody to tell.
	_ = page.Execute(out, map[string]string{"Request": request, "Problem": problem})
}
