package main

import (
	"crypto/subtle"
	"net/url"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const groupsScope = "groups"

// client is the only one: confidential, authorization code and refresh tokens.
type client struct {
	ID               string `json:"id"`
	Secret           string `json:"secret"`
	RedirectURI      string `json:"redirectUri"`
	TokenLifeSeconds int    `json:"tokenLifeSeconds"`
}

func (c client) hasSecret(given string) bool {
	return subtle.ConstantTimeCompare([]byte(c.Secret), []byte(given)) == 1
}

func (c client) life() time.Duration { return time.Duration(c.TokenLifeSeconds) * time.Second }

// What follows is op.Client.

func (c client) GetID() string                       { return c.ID }
func (c client) RedirectURIs() []string              { return []string{c.RedirectURI} }
func (c client) PostLogoutRedirectURIs() []string    { return nil }
func (c client) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (c client) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodBasic }
func (c client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeBearer }
func (c client) IDTokenLifetime() time.Duration      { return c.life() }
func (c client) ClockSkew() time.Duration            { return 0 }
func (c client) DevMode() bool                       { return false }

func (c client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

func (c client) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
}

func (c client) LoginURL(request string) string {
	return signInPath + "?" + url.Values{"request": {request}}.Encode()
}

func (c client) IsScopeAllowed(scope string) bool { return scope == groupsScope }

// The gateway reads the ID token alone.
func (c client) IDTokenUserinfoClaimsAssertion() bool { return true }

func (c client) RestrictAdditionalIdTokenScopes() func([]string) []string     { return sameScopes }
func (c client) RestrictAdditionalAccessTokenScopes() func([]string) []string { return sameScopes }

func sameScopes(scopes []string) []string { return scopes }
