package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"sync"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// key is a private key to sign with, or the public half that is published.
type key struct {
	id    string
	value any
}

func (k key) ID() string                                  { return k.id }
func (k key) Key() any                                    { return k.value }
func (k key) Use() string                                 { return "sig" }
func (k key) Algorithm() jose.SignatureAlgorithm          { return jose.ES256 }
func (k key) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }

// keys: the first signs, all are published.
type keys struct {
	lock    sync.Mutex
	private []key
}

func newKeys() (*keys, error) {
	made := &keys{}
	return made, made.rotate(false)
}

func (k *keys) rotate(keepOld bool) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	k.lock.Lock()
	defer k.lock.Unlock()
	if !keepOld {
		k.private = nil
	}
	k.private = append([]key{{id: uuid.NewString(), value: private}}, k.private...)
	return nil
}

func (k *keys) signing() op.SigningKey {
	k.lock.Lock()
	defer k.lock.Unlock()
	return k.private[0]
}

func (k *keys) published() []op.Key {
	k.lock.Lock()
	defer k.lock.Unlock()
	published := make([]op.Key, 0, len(k.private))
	for _, private := range k.private {
		public := private.value.(*ecdsa.PrivateKey).Public()
		published = append(published, key{id: private.id, value: public})
	}
	return published
}
