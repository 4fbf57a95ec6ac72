package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	// RFC 6749 4.1.2 advises ten minutes at most, for the sign-in and the code together.
	requestLife = 10 * time.Minute
	refreshLife = 14 * 24 * time.Hour
)

var (
	errGone         = errors.New("unknown, used or ended")
	errNotSupported = errors.New("this provider does not do that")
)

// store is op.Storage, in memory: it ends with the program.
type store struct {
	client client
	people []person
	keys   *keys

	lock     sync.Mutex
	requests map[string]*signInRequest
	// code to the id of its request
	codes    map[string]string
	renewals map[string]*renewal
	// access token to subject
	tokens map[string]string
}

func newStore(settings config, signing *keys) *store {
	return &store{
		client:   settings.Client,
		people:   settings.People,
		keys:     signing,
		requests: map[string]*signInRequest{},
		codes:    map[string]string{},
		renewals: map[string]*renewal{},
		tokens:   map[string]string{},
	}
}

// signIn marks a request as that of the person with this name and password.
func (s *store) signIn(id, name, password string) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	request, err := s.request(id)
	if err != nil {
		return err
	}
	for _, who := range s.people {
		isRight := subtle.ConstantTimeCompare([]byte(who.Password), []byte(password)) == 1
		if who.Name == name && isRight {
			request.subject, request.at = who.Subject, time.Now()
			return nil
		}
	}
	return errWrongPassword
}

func (s *store) request(id string) (*signInRequest, error) {
	request, found := s.requests[id]
	if !found || time.Since(request.made) > requestLife {
		return nil, errGone
	}
	return request, nil
}

func (s *store) CreateAuthRequest(_ context.Context, asked *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	for _, prompt := range asked.Prompt {
		if prompt == oidc.PromptNone {
			return nil, oidc.ErrLoginRequired()
		}
	}
	if asked.CodeChallenge == "" || asked.CodeChallengeMethod != oidc.CodeChallengeMethodS256 {
		return nil, oidc.ErrInvalidRequest().WithDescription("PKCE with S256 is required")
	}
	request := &signInRequest{AuthRequest: *asked, id: uuid.NewString(), made: time.Now()}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.requests[request.id] = request
	return request, nil
}

func (s *store) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.request(id)
}

func (s *store) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.request(s.codes[code])
}

func (s *store) SaveAuthCode(_ context.Context, id, code string) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.codes[code] = id
	return nil
}

// DeleteAuthRequest comes with the tokens: the code is good for one use.
func (s *store) DeleteAuthRequest(_ context.Context, id string) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.requests, id)
	return nil
}

func (s *store) CreateAccessToken(_ context.Context, request op.TokenRequest) (string, time.Time, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	id, ends := s.accessToken(request)
	return id, ends, nil
}

func (s *store) accessToken(request op.TokenRequest) (string, time.Time) {
	id := uuid.NewString()
	s.tokens[id] = request.GetSubject()
	return id, time.Now().Add(s.client.life())
}

func (s *store) CreateAccessAndRefreshTokens(_ context.Context, request op.TokenRequest, current string) (string, string, time.Time, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	next := &renewal{
		clientID: s.client.ID,
		subject:  request.GetSubject(),
		scopes:   request.GetScopes(),
		ends:     time.Now().Add(refreshLife),
		family:   uuid.NewString(),
	}
	switch origin := request.(type) {
	case *signInRequest:
		next.at = origin.at
	case *renewal:
		used, found := s.renewals[current]
		if !found || used.used {
			return "", "", time.Time{}, oidc.ErrInvalidGrant()
		}
		used.used = true
		next.at, next.family = origin.at, used.family
	default:
		return "", "", time.Time{}, errNotSupported
	}
	refreshToken := rand.Text()
	s.renewals[refreshToken] = next
	id, ends := s.accessToken(request)
	return id, refreshToken, ends, nil
}

// TokenRequestByRefreshToken: a second use tells of a thief, and ends the sign-in (RFC 9700 2.2.2).
func (s *store) TokenRequestByRefreshToken(_ context.Context, token string) (op.RefreshTokenRequest, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	found, ok := s.renewals[token]
	if !ok || time.Now().After(found.ends) {
		return nil, errGone
	}
	if found.used {
		s.endFamily(found.family)
		return nil, errGone
	}
	copied := *found
	return &copied, nil
}

func (s *store) endFamily(family string) {
	for token, other := range s.renewals {
		if other.family == family {
			delete(s.renewals, token)
		}
	}
}

// endSignIns: an administrator ends them all; no refresh token is good any more.
func (s *store) endSignIns() error {
	s.lock.Lock()
	defer s.lock.Unlock()
	clear(s.renewals)
	return nil
}

func (s *store) TerminateSession(_ context.Context, subject, _ string) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	for token, other := range s.renewals {
		if other.subject == subject {
			delete(s.renewals, token)
		}
	}
	return nil
}

func (s *store) GetRefreshTokenInfo(_ context.Context, _, token string) (string, string, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	found, ok := s.renewals[token]
	if !ok {
		return "", "", op.ErrInvalidRefreshToken
	}
	return found.subject, token, nil
}

func (s *store) RevokeToken(_ context.Context, token, _, _ string) *oidc.Error {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.tokens, token)
	if found, ok := s.renewals[token]; ok {
		s.endFamily(found.family)
	}
	return nil
}

func (s *store) SigningKey(context.Context) (op.SigningKey, error) { return s.keys.signing(), nil }
func (s *store) KeySet(context.Context) ([]op.Key, error)          { return s.keys.published(), nil }
func (s *store) Health(context.Context) error                      { return nil }

func (s *store) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}

func (s *store) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if id != s.client.ID {
		return nil, fmt.Errorf("no client %q", id)
	}
	return s.client, nil
}

func (s *store) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	if id != s.client.ID || !s.client.hasSecret(secret) {
		return oidc.ErrInvalidClient()
	}
	return nil
}
