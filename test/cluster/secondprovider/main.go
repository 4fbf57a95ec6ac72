// Command secondprovider is an OpenID Connect provider by another library than the sandbox's own,
// so that the gateway is tested with two that do not agree on everything: here keys are ES256, the
// audience is a list, people have a subject that is not their name, nobody is asked for consent,
// and every sign-in asks for the password.
//
//	secondprovider CONFIG.json
//
// SIGUSR1: a new signing key, the old one stays published. SIGUSR2: the old ones are withdrawn.
package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"github.com/zitadel/oidc/v3/pkg/op"
)

type config struct {
	// host:port of the loopback interface
	Listen      string   `json:"listen"`
	Certificate string   `json:"certificate"`
	PrivateKey  string   `json:"privateKey"`
	Client      client   `json:"client"`
	People      []person `json:"people"`
	// A socket in the file system where the test says what happens: see control.go
	Control string `json:"control"`
}

func main() {
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: secondprovider CONFIG.json"))
	}
	fail(run(os.Args[1]))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func run(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var settings config
	if err := json.Unmarshal(text, &settings); err != nil {
		return err
	}
	signing, err := newKeys()
	if err != nil {
		return err
	}
	store := newStore(settings, signing)
	handler, err := newHandler(settings, store)
	if err != nil {
		return err
	}
	front := &front{settings: settings, handler: handler}
	if err := front.up(); err != nil {
		return err
	}
	return serveControl(settings.Control, &control{store: store, keys: signing, front: front})
}

func newHandler(settings config, store *store) (http.Handler, error) {
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return nil, err
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	provider, err := op.NewProvider(
		&op.Config{CryptoKey: secret, CodeMethodS256: true, GrantTypeRefreshToken: true},
		store,
		op.StaticIssuer("https://"+settings.Listen),
		op.WithLogger(logger),
	)
	if err != nil {
		return nil, err
	}
	issuer := op.NewIssuerInterceptor(provider.IssuerFromRequest)
	mux := http.NewServeMux()
	mux.Handle("/", provider)
	mux.Handle(signInPath, issuer.Handler(signIn(store, op.AuthCallbackURL(provider))))
	return mux, nil
}
