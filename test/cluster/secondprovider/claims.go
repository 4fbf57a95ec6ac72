package main

import (
	"context"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// SetUserinfoFromRequest is what the ID token says of a person.
func (s *store) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, request op.IDTokenRequest, scopes []string) error {
	return s.describe(info, request.GetSubject(), scopes)
}

// SetUserinfoFromScopes came before SetUserinfoFromRequest; the library calls both.
func (s *store) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

func (s *store) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, token, subject, _ string) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.tokens[token] != subject {
		return errGone
	}
	all := []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail, groupsScope}
	return s.describe(info, subject, all)
}

func (s *store) describe(info *oidc.UserInfo, subject string, scopes []string) error {
	for _, who := range s.people {
		if who.Subject != subject {
			continue
		}
		for _, scope := range scopes {
			switch scope {
			case oidc.ScopeOpenID:
				info.Subject = who.Subject
			case oidc.ScopeProfile:
				info.PreferredUsername = who.Name
			case oidc.ScopeEmail:
				info.Email, info.EmailVerified = who.Email, true
			case groupsScope:
				info.AppendClaims(groupsScope, who.Groups)
			}
		}
		return nil
	}
	return errGone
}

func (s *store) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, nil
}

// Introspection and JWTs as credentials of a client are not offered to the one client there is.

func (s *store) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errNotSupported
}

func (s *store) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errNotSupported
}

func (s *store) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errNotSupported
}
