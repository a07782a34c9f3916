// SPDX-License-Identifier: Apache-2.0

package rfc

import (
	"slices"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/jose"
)

// metadataDocument is the metadata of the server (RFC 8414, OpenID Connect Discovery): what
// is offered, and only that. It has the response types also when there are none, since RFC
// 8414 section 2 requires the member.
type metadataDocument struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint,omitempty"`
	PushedEndpoint        string   `json:"pushed_authorization_request_endpoint,omitempty"`
	RequirePushed         bool     `json:"require_pushed_authorization_requests,omitempty"`
	TokenEndpoint         string   `json:"token_endpoint"`
	IntrospectionEndpoint string   `json:"introspection_endpoint"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	RegistrationEndpoint  string   `json:"registration_endpoint,omitempty"`
	UserinfoEndpoint      string   `json:"userinfo_endpoint,omitempty"`
	EndSessionEndpoint    string   `json:"end_session_endpoint,omitempty"`
	JWKSURI               string   `json:"jwks_uri"`
	Scopes                []string `json:"scopes_supported,omitempty"`
	ResponseTypes         []string `json:"response_types_supported"`
	ResponseModes         []string `json:"response_modes_supported,omitempty"`
	GrantTypes            []string `json:"grant_types_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported,omitempty"`
	Prompts               []string `json:"prompt_values_supported,omitempty"`
	RequestURI            bool     `json:"request_uri_parameter_supported"` // true is the default of OpenID Connect
	IssInResponse         bool     `json:"authorization_response_iss_parameter_supported,omitempty"`
	Documents             bool     `json:"client_id_metadata_document_supported,omitempty"`

	TokenAuthMethods         []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgorithms      []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionAuthMethods []string `json:"introspection_endpoint_auth_methods_supported"`
	RevocationAuthMethods    []string `json:"revocation_endpoint_auth_methods_supported"`

	// With private_key_jwt each of the three has them (RFC 8414 section 2).
	IntrospectionAuthAlgorithms []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	RevocationAuthAlgorithms    []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`

	SubjectTypes     []string `json:"subject_types_supported,omitempty"`
	IDTokenAlgorithm []string `json:"id_token_signing_alg_values_supported,omitempty"`
	Claims           []string `json:"claims_supported,omitempty"`
}

func (s *Server) describe() metadataDocument {
	methods := s.authMethods()
	confidential := slices.DeleteFunc(slices.Clone(methods), func(m string) bool { return m == authcore.AuthNone })
	d := metadataDocument{
		Issuer:        s.Issuer.Name,
		TokenEndpoint: s.Issuer.URL(TokenEndpoint), IntrospectionEndpoint: s.Issuer.URL(IntrospectEndpoint), RevocationEndpoint: s.Issuer.URL(RevokeEndpoint),
		JWKSURI: s.Issuer.URL(JWKSEndpoint), Scopes: s.scopeNames(), ResponseTypes: []string{}, GrantTypes: s.grants(),
		TokenAuthMethods: methods, IntrospectionAuthMethods: confidential, RevocationAuthMethods: methods,
		Documents: s.Documents != nil,
	}
	if slices.Contains(methods, authcore.AuthPrivateKeyJWT) {
		d.TokenAuthAlgorithms = jose.Algorithms()
		d.IntrospectionAuthAlgorithms, d.RevocationAuthAlgorithms = d.TokenAuthAlgorithms, d.TokenAuthAlgorithms
	}
	if s.Registration != nil {
		d.RegistrationEndpoint = s.Issuer.URL(RegisterEndpoint)
	}
	if s.asksPeople() {
		s.describeAuthorization(&d)
	}
	return d
}

func (s *Server) describeAuthorization(d *metadataDocument) {
	d.AuthorizationEndpoint, d.PushedEndpoint, d.RequirePushed = s.Issuer.URL(AuthorizeEndpoint), s.Issuer.URL(PushedEndpoint), s.PushedRequired
	d.ResponseTypes, d.ResponseModes = []string{"code"}, []string{"query"}
	d.ChallengeMethods, d.IssInResponse = []string{"S256"}, true
	if s.Legacy.Implicit {
		d.ResponseTypes, d.ResponseModes = append(d.ResponseTypes, "token"), append(d.ResponseModes, "fragment")
	}
	if !s.isOpenID() {
		return
	}
	d.UserinfoEndpoint, d.EndSessionEndpoint = s.Issuer.URL(UserinfoEndpoint), s.Issuer.URL(LogoutEndpoint)
	d.SubjectTypes, d.IDTokenAlgorithm = []string{"public"}, authcore.IDTokenAlgs()
	d.Prompts = []string{"none", "login", "consent"}
	d.Claims = []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "at_hash", "sid"}
}

// authMethods are those that some client has or could register.
func (s *Server) authMethods() []string {
	methods := []string{authcore.AuthBasic, authcore.AuthPost}
	for _, method := range []string{authcore.AuthPrivateKeyJWT, authcore.AuthNone} {
		offered := s.Registration != nil || s.Documents != nil && method == authcore.AuthNone
		for _, client := range s.Clients {
			offered = offered || client.Auth == method
		}
		if offered {
			methods = append(methods, method)
		}
	}
	return methods
}
