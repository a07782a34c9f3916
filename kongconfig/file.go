// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// file is a declarative file: its entities with their relations.
type file struct {
	p        *problems
	settings settings
	version  string
	hashed   bool // _transform is false: secrets are hashes already

	defaults map[string]*yaml.Node // _info.defaults, by entity
	configs  map[string]*yaml.Node // _plugin_configs

	services      []*service
	routes        []*route
	plugins       []*plugin
	consumers     []*consumer
	upstreams     []*upstream
	certs         []*certificate
	cas           []*authority
	clients       []*oauth2Credential
	oauth2Clients map[string]any // as the server has them
	tokens        []*oauth2Token

	providers    map[string]map[string]any // of the app gluu
	logins       map[string]string         // the first of them that people log in at, by origin
	acme         []acmePolicy
	oxdWarned    bool
	tokensWarned bool
	metrics      bool
	accessLog    bool
	logPath      string

	byRef       map[string]any    // "services\x00<id or name>": the entity
	credentials map[string]at     // kinds of credentials that are not kept: where the first is
	pluginsOf   map[any][]*plugin // by route or service; nil: for all
	prefixOnly  bool              // a path is a prefix if it looks like one (1.1 and 2.1)
}

// entity is what all entities have.
type entity struct {
	o        *object
	id, name string
}

// display is how messages call an entity.
func display(kind, id, name string) string {
	if name == "" {
		name = id
	}
	return fmt.Sprintf("%s %q", kind, name)
}

// readFile reads the root.
func readFile(root *yaml.Node, s settings, p *problems) *file {
	f := &file{p: p, settings: s, byRef: make(map[string]any), credentials: make(map[string]at), defaults: make(map[string]*yaml.Node), configs: make(map[string]*yaml.Node), providers: make(map[string]map[string]any)}
	o := newObject(p, "", "", root)
	if o == nil {
		return f
	}
	f.readHeader(o)
	for _, collection := range collections {
		for i, node := range o.list(collection.name) {
			f.read(collection, node, nil, i)
		}
	}
	for _, name := range refusedCollections {
		if len(o.list(name)) > 0 {
			f.refuseCollection(o, name)
		}
	}
	for _, name := range credentialCollections {
		if list := o.list(name); len(list) > 0 {
			f.noteCredential(name, o.at(name))
		}
	}
	o.done()
	f.connect()
	return f
}

// readHeader reads the members that begin with an underscore.
func (f *file) readHeader(o *object) {
	f.version = o.str("_format_version")
	switch f.version {
	case "1.1", "2.1":
		f.prefixOnly = true
	case "3.0":
	case "":
		o.errorf("_format_version", "is required: write _format_version: \"3.0\" (or the version that the file is written in)")
	default:
		o.errorf("_format_version", "%q is not known: write \"1.1\", \"2.1\" or \"3.0\"", f.version)
	}
	f.hashed = !o.boolean("_transform", true)
	if workspace := o.str("_workspace"); workspace != "" && workspace != "default" {
		o.warnf(aboutTheRest, "_workspace", "there are no workspaces: the entities of %q are all that there is", workspace)
	}
	o.ignore("_comment", "_ignore", "_konnect", "_deck")
	if info := o.object("_info"); info != nil {
		info.ignore("select_tags", "default_lookup_tags")
		if defaults := info.object("defaults"); defaults != nil {
			for _, name := range defaults.names {
				f.defaults[name] = defaults.get(name)
			}
		}
		info.done()
	}
	if configs := o.object("_plugin_configs"); configs != nil {
		for _, name := range configs.names {
			f.configs[name] = configs.get(name)
		}
	}
}

// collection is a kind of entity: its name in the file, the word for one, and
// how one is read. parent is the entity that it is nested in.
type collection struct {
	name, kind, title string
	read              func(f *file, o *object, parent any, index int)
}

var collections []collection

func init() {
	collections = []collection{
		{"services", "service", "name", (*file).readService},
		{"routes", "route", "name", (*file).readRoute},
		{"consumers", "consumer", "username", (*file).readConsumer},
		{"upstreams", "upstream", "name", (*file).readUpstream},
		{"targets", "target", "target", (*file).readTarget},
		{"certificates", "certificate", "id", (*file).readCertificate},
		{"snis", "sni", "name", (*file).readSNI},
		{"ca_certificates", "ca_certificate", "id", (*file).readAuthority},
		{"acls", "acl", "group", (*file).readGroup},
		{"oauth2_credentials", "oauth2_credential", "client_id", (*file).readOAuth2Credential},
		{"oauth2_tokens", "oauth2_token", "id", (*file).readOAuth2Token},
		{"plugins", "plugin", "name", (*file).readPlugin},
	}
}

// read reads one entity, below another or at the root.
func (f *file) read(c collection, node *yaml.Node, parent any, index int) {
	if defaults := f.defaults[c.kind]; defaults != nil && node.Kind == yaml.MappingNode {
		node = withDefaults(node, defaults)
	}
	name := fmt.Sprintf("#%d", index+1)
	for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
		if key := node.Content[i].Value; key == c.title && node.Content[i+1].Value != "" {
			name = node.Content[i+1].Value
		}
	}
	o := newObject(f.p, fmt.Sprintf("%s %q", c.kind, name), "", node)
	if o == nil {
		return
	}
	o.ignore("created_at", "updated_at", "ws_id", "_comment", "_ignore")
	if c.name != "consumers" {
		o.ignore("tags")
	}
	c.read(f, o, parent, index)
	o.done()
}

// nested reads the entities below a member of an entity.
func (f *file) nested(o *object, parent any, names ...string) {
	for _, name := range names {
		i := slices.IndexFunc(collections, func(c collection) bool { return c.name == name })
		for index, node := range o.list(name) {
			f.read(collections[i], node, parent, index)
		}
	}
}

// withDefaults returns an object with the members of another that it has not
// got; objects within objects likewise, as decK does.
func withDefaults(node, defaults *yaml.Node) *yaml.Node {
	if node.Kind != yaml.MappingNode || defaults.Kind != yaml.MappingNode {
		return node
	}
	filled := *node
	filled.Content = slices.Clone(node.Content)
	for i := 0; i+1 < len(defaults.Content); i += 2 {
		name := defaults.Content[i].Value
		at := -1
		for j := 0; j+1 < len(filled.Content); j += 2 {
			if filled.Content[j].Value == name {
				at = j
			}
		}
		if at < 0 {
			filled.Content = append(filled.Content, defaults.Content[i], defaults.Content[i+1])
		} else {
			filled.Content[at+1] = withDefaults(filled.Content[at+1], defaults.Content[i+1])
		}
	}
	return &filled
}

// register makes an entity known by its id and name. Two entities of a kind
// cannot share either.
func (f *file) register(o *object, collection string, e any, names ...string) {
	for _, name := range names {
		if name == "" {
			continue
		}
		key := collection + "\x00" + name
		if other := f.byRef[key]; other != nil && other != e {
			o.p.errorf(at{o.entity, "", o.line}, "there are two %s with the id or name %q: rename one", collection, name)
		}
		f.byRef[key] = e
	}
}

// reference reads a foreign key: an id, a name, or an object with one of them.
func reference(o *object, field string) string {
	node := o.get(field)
	if node == nil || node.Kind == yaml.ScalarNode {
		return o.str(field)
	}
	inner := newObject(o.p, o.entity, o.path+field+".", node)
	if inner == nil {
		return ""
	}
	var ref string
	for _, name := range []string{"username", "name", "id"} {
		if text := inner.str(name); text != "" {
			ref = text
		}
	}
	if ref == "" {
		o.errorf(field, "names nothing: write an id or a name")
	}
	inner.done()
	return ref
}

// lookup finds the entity that a foreign key names.
func lookup[T any](f *file, o *object, field, collection, ref string) (found T) {
	if ref == "" {
		return found
	}
	entity, ok := f.byRef[collection+"\x00"+ref].(T)
	if !ok {
		o.errorf(field, "there is no %q among the %s: correct the name, or add it", ref, collection)
	}
	return entity
}

// refusedCollections are those that could decide about access or routing.
var refusedCollections = []string{
	"consumer_groups", "consumer_group_consumers", "consumer_group_plugins", "vaults", "partials", "key_sets", "keys",
	"rbac_roles", "rbac_users", "rbac_endpoint_permissions", "workspaces", "licenses", "custom_entities", "degraphql_routes", "filter_chains", "plugin_schemas",
	"graphql_ratelimiting_cost_decorations", "oauth2_authorization_codes", "parameters", "files", "document_objects", "event_hooks", "admins",
}

func (f *file) refuseCollection(o *object, name string) {
	switch name {
	case "workspaces":
		if len(o.list(name)) > 1 {
			o.errorf(name, "there are no workspaces: run a gateway for each of them, or keep one")
		}
	case "consumer_groups":
		f.readConsumerGroups(o)
	case "vaults":
		// Only those that are referred to matter, and each reference says so.
	case "oauth2_authorization_codes":
		o.warnf(aboutTheRest, name, "codes live for minutes and are not kept: users who are logging in at this moment have to begin again")
	case "keys", "key_sets", "licenses", "plugin_schemas", "rbac_roles", "rbac_users", "rbac_endpoint_permissions", "admins", "files", "document_objects", "event_hooks", "parameters":
		if name == "key_sets" || name == "keys" {
			o.errorf(name, "there is nothing that %s would be good for: remove them, and name the jwks_uri of the authorization server in its provider", name)
			return
		}
		o.errorf(name, "%s of Kong Enterprise are not kept: remove them, and protect the admin endpoint as Caddy's documentation says", name)
	default:
		o.errorf(name, "%s are not kept: remove them, and what depends on them", name)
	}
}

// readConsumerGroups refuses groups of Kong Enterprise that have members or
// plugins: they decide.
func (f *file) readConsumerGroups(o *object) {
	for _, node := range o.list("consumer_groups") {
		group := newObject(f.p, "consumer_group", "", node)
		if group == nil {
			continue
		}
		if len(group.list("plugins"))+len(group.list("consumers")) > 0 {
			f.p.errorf(at{display("consumer_group", "", group.str("name")), "", group.line}, "consumer groups are not kept: give the plugins to the consumers, or use the plugin acl")
		}
	}
}

// credentialCollections are credentials of plugins that are not kept.
var credentialCollections = []string{
	"keyauth_credentials", "keyauth_enc_credentials", "basicauth_credentials", "jwt_secrets", "hmacauth_credentials", "mtls_auth_credentials", "degraphql", "header_cert_auth_credentials",
}

// pluginOf is the plugin that reads a kind of credentials.
var pluginOf = map[string]string{
	"keyauth_credentials": "key-auth", "keyauth_enc_credentials": "key-auth-enc", "basicauth_credentials": "basic-auth",
	"jwt_secrets": "jwt", "hmacauth_credentials": "hmac-auth", "mtls_auth_credentials": "mtls-auth", "header_cert_auth_credentials": "header-cert-auth",
}

func (f *file) noteCredential(kind string, where at) {
	if _, noted := f.credentials[kind]; !noted {
		f.credentials[kind] = where
	}
}

// connect resolves what can only be known when all entities are read.
func (f *file) connect() {
	for _, r := range f.routes {
		r.connect(f)
	}
	for _, p := range f.plugins {
		p.connect(f)
	}
	for _, u := range f.upstreams {
		f.connectTargets(u)
	}
	f.connectConsumers()
	f.connectClients()
	kinds := make([]string, 0, len(f.credentials))
	for kind := range f.credentials {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		name := pluginOf[kind]
		if f.isEnabled(name) {
			continue // the plugin itself is refused
		}
		f.p.warnf(aboutTheRest, f.credentials[kind], "%s are not kept, and no enabled plugin reads them", strings.ReplaceAll(kind, "_", " "))
	}
}

// isEnabled reports whether a plugin runs somewhere.
func (f *file) isEnabled(name string) bool {
	return slices.ContainsFunc(f.plugins, func(p *plugin) bool { return p.name == name && p.enabled })
}
