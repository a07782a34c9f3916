// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/jose"
)

// Connection is what the running configuration lends to a server.
type Connection struct {
	HTTP    *http.Client
	Key     jose.PrivateKey // for private_key_jwt
	Storage certmagic.Storage
	Logger  *zap.Logger
}

// LoadConnection reads the files that the settings name.
func LoadConnection(ctx caddy.Context, config *Config, logger *zap.Logger) (*Connection, error) {
	a := &Connection{Logger: logger}
	var err error
	if config.ClientKey != "" {
		if a.Key, err = jose.ReadPrivateKey(config.ClientKey); err != nil {
			return nil, fmt.Errorf("client_key: %w", err)
		}
		if err := checkClientKey(a.Key); err != nil {
			return nil, err
		}
	}
	tlsConfig, err := tlsConfigOf(ctx, config)
	if err != nil {
		return nil, err
	}
	a.HTTP = NewHTTPClient(tlsConfig)
	return a, nil
}

func tlsConfigOf(ctx caddy.Context, config *Config) (*tls.Config, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if config.TrustPoolRaw != nil {
		pool, err := trustPool(ctx, config)
		if err != nil {
			return nil, fmt.Errorf("trust_pool: %w", err)
		}
		tlsConfig.RootCAs = pool
	}
	if config.ClientCertificate != "" {
		certificate, err := tls.LoadX509KeyPair(config.ClientCertificate, config.ClientCertificateKey)
		if err != nil {
			return nil, fmt.Errorf("client_certificate: %w", err)
		}
		tlsConfig.Certificates = []tls.Certificate{certificate}
	}
	return tlsConfig, nil
}

func trustPool(ctx caddy.Context, config *Config) (*x509.CertPool, error) {
	module, err := ctx.LoadModule(config, "TrustPoolRaw")
	if err != nil {
		return nil, err
	}
	ca, ok := module.(caddytls.CA)
	if !ok {
		return nil, fmt.Errorf("%T is not a source of certificate authorities", module)
	}
	pool := ca.CertPool()
	if pool == nil {
		return nil, fmt.Errorf("%T has no certificates", module)
	}
	return pool, nil
}
