package main

import (
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// person is somebody who can sign in.
type person struct {
	// What tokens call the person: never the name, so that nobody takes one for the other.
	Subject  string   `json:"subject"`
	Name     string   `json:"name"`
	Email    string   `json:"email"`
	Password string   `json:"password"`
	Groups   []string `json:"groups"`
}

// signInRequest is op.AuthRequest: what the client asked for, and who signed in.
type signInRequest struct {
	oidc.AuthRequest
	id      string
	made    time.Time
	subject string
	at      time.Time
}

func (r *signInRequest) GetID() string          { return r.id }
func (r *signInRequest) GetACR() string         { return "" }
func (r *signInRequest) GetAMR() []string       { return []string{"pwd"} }
func (r *signInRequest) GetAudience() []string  { return []string{r.ClientID} }
func (r *signInRequest) GetAuthTime() time.Time { return r.at }
func (r *signInRequest) GetClientID() string    { return r.ClientID }
func (r *signInRequest) GetNonce() string       { return r.Nonce }
func (r *signInRequest) GetScopes() []string    { return r.Scopes }
func (r *signInRequest) GetSubject() string     { return r.subject }
func (r *signInRequest) Done() bool             { return r.subject != "" }

func (r *signInRequest) GetCodeChallenge() *oidc.CodeChallenge {
	return &oidc.CodeChallenge{Challenge: r.CodeChallenge, Method: r.CodeChallengeMethod}
}

// renewal is op.RefreshTokenRequest: what a refresh token stands for.
type renewal struct {
	clientID string
	subject  string
	scopes   []string
	at       time.Time
	ends     time.Time
	// The refresh tokens that came from one sign-in.
	family string
	used   bool
}

func (r *renewal) GetAMR() []string                 { return []string{"pwd"} }
func (r *renewal) GetAudience() []string            { return []string{r.clientID} }
func (r *renewal) GetAuthTime() time.Time           { return r.at }
func (r *renewal) GetClientID() string              { return r.clientID }
func (r *renewal) GetScopes() []string              { return r.scopes }
func (r *renewal) GetSubject() string               { return r.subject }
func (r *renewal) SetCurrentScopes(scopes []string) { r.scopes = scopes }
