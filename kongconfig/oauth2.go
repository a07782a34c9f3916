// SPDX-License-Identifier: Apache-2.0

package kongconfig

// oauth2Credential is a client of the plugin oauth2.
type oauth2Credential struct {
	entity
	consumer *consumer
}

func (f *file) readOAuth2Credential(o *object, parent any, _ int) {
	c := &oauth2Credential{entity: entity{o: o, id: o.str("id"), name: o.str("name")}}
	c.consumer, _ = parent.(*consumer)
	o.readAll()
	f.clients = append(f.clients, c)
}

func (f *file) readOAuth2Token(o *object, _ any, _ int) {
	o.readAll()
}
