// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
)

// certificate is what the gateway shows to clients, or to a service.
type certificate struct {
	entity
	cert, key string
	snis      []string
}

func (f *file) readCertificate(o *object, _ any, index int) {
	c := &certificate{entity: entity{o: o, id: o.str("id")}, cert: o.str("cert"), key: o.str("key")}
	o.ignore("passphrase")
	if c.id == "" {
		c.id = kongID("certificates", o.entity)
	}
	if _, err := tls.X509KeyPair([]byte(c.cert), []byte(c.key)); err != nil {
		o.errorf("cert", "the certificate and its key do not load: %v; write both in PEM, with their line breaks", err)
	}
	if o.str("cert_alt") != "" || o.str("key_alt") != "" {
		o.warnf(aboutTheRest, "cert_alt", "the alternative certificate is not used: %s serves all clients", o.entity)
	}
	for _, node := range o.list("snis") {
		if node.Value != "" {
			c.snis = append(c.snis, node.Value)
		} else if sni := newObject(f.p, o.entity, "snis.", node); sni != nil {
			sni.ignore("id", "tags", "created_at", "updated_at")
			c.snis = append(c.snis, sni.str("name"))
			sni.done()
		}
	}
	f.register(o, "certificates", c, c.id)
	f.certs = append(f.certs, c)
}

func (f *file) readSNI(o *object, _ any, _ int) {
	name, ref := o.str("name"), reference(o, "certificate")
	o.ignore("id")
	if ref == "" {
		o.errorf("certificate", "is required: write the id of the certificate for this name")
	}
	if c := lookup[*certificate](f, o, "certificate", "certificates", ref); c != nil {
		c.snis = append(c.snis, name)
	}
}

// authority is a certificate that services are verified by.
type authority struct {
	entity
	der string // base64
}

func (f *file) readAuthority(o *object, _ any, _ int) {
	a := &authority{entity: entity{o: o, id: o.str("id")}}
	block, _ := pem.Decode([]byte(o.str("cert")))
	o.ignore("cert_digest")
	if block == nil {
		o.errorf("cert", "is not a certificate in PEM: write it with its line breaks")
		return
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !parsed.IsCA {
		o.errorf("cert", "is not the certificate of an authority: %v", err)
		return
	}
	a.der = base64.StdEncoding.EncodeToString(block.Bytes)
	f.register(o, "ca_certificates", a, a.id)
	f.cas = append(f.cas, a)
}

// tlsApp returns the app that loads certificates.
func (f *file) tlsApp() map[string]any {
	var loaded []any
	for _, c := range f.certs {
		loaded = append(loaded, map[string]any{"certificate": c.cert, "key": c.key, "tags": []string{c.id}})
	}
	certificates := map[string]any{}
	if len(loaded) > 0 {
		certificates["load_pem"] = loaded
	}
	app := map[string]any{"certificates": certificates}
	if f.settings.cert != "" {
		certificates["load_files"] = []any{map[string]any{"certificate": f.settings.cert, "key": f.settings.certKey, "tags": []string{defaultTag}}}
		return app
	}
	certificates["automate"] = []string{"localhost"}
	app["automation"] = map[string]any{"policies": []any{map[string]any{"subjects": []string{"localhost"}, "issuers": []any{map[string]any{"module": "internal"}}}}}
	return app
}

// defaultTag marks the certificate for clients that ask for no known name.
const defaultTag = "kong-default"

// anyName is the SNI of the certificate for clients that ask for no known name.
const anyName = "*"

// tlsPolicies choose a certificate by the name that the client asks for.
func (f *file) tlsPolicies() []any {
	var exact, wildcard, rest []any
	seen := make(map[string]*certificate)
	for _, c := range f.certs {
		for _, sni := range c.snis {
			if other := seen[sni]; other != nil && other != c {
				c.o.errorf("snis", "%q is a name of %s too: a client gets one certificate", sni, other.o.entity)
			}
			seen[sni] = c
			if strings.HasSuffix(sni, ".*") {
				c.o.errorf("snis", "%q ends with a wildcard, which no certificate has: write the names themselves", sni)
			}
			selection := map[string]any{"any_tag": []string{c.id}}
			policy := map[string]any{"match": map[string]any{"sni": []string{strings.ToLower(strings.TrimSuffix(sni, "."))}}, "certificate_selection": selection}
			switch {
			case sni == anyName:
				rest = append(rest, map[string]any{"certificate_selection": selection})
			case strings.Contains(sni, "*"):
				wildcard = append(wildcard, policy)
			default:
				exact = append(exact, policy)
			}
		}
	}
	policies := append(exact, wildcard...)
	if len(rest) > 0 {
		return append(policies, rest[0])
	}
	if f.settings.cert != "" {
		return append(policies, map[string]any{"certificate_selection": map[string]any{"any_tag": []string{defaultTag}}})
	}
	return append(policies, map[string]any{"default_sni": "localhost", "fallback_sni": "localhost"})
}
