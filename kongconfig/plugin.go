// SPDX-License-Identifier: Apache-2.0

package kongconfig

import (
	"cmp"
	"slices"

	"go.yaml.in/yaml/v3"
)

// plugin is an instance of a plugin, for the requests that it is for.
type plugin struct {
	o       *object // of the entity
	config  *object // never nil
	name    string
	id      string
	enabled bool

	serviceRef, routeRef, consumerRef string

	service  *service
	route    *route
	consumer *consumer
	index    int

	built bool
	build builder
}

// builder returns what a plugin does on a route.
type builder func(r *route) steps

// steps are the handlers of a plugin: those that run before the path for the
// upstream is made, and those that change it afterwards.
type steps struct {
	before, after []any
	closed        bool // nothing gets past
}

func (f *file) readPlugin(o *object, parent any, index int) {
	p := &plugin{o: o, name: o.str("name"), id: o.str("id"), index: len(f.plugins)}
	p.enabled = o.boolean("enabled", true)
	p.serviceRef, p.routeRef, p.consumerRef = reference(o, "service"), reference(o, "route"), reference(o, "consumer")
	switch parent := parent.(type) {
	case *service:
		p.service = parent
	case *route:
		p.route = parent
	case *consumer:
		p.consumer = parent
	}
	if p.name == "" {
		o.errorf("name", "is required: write the name of the plugin")
	}
	if group := reference(o, "consumer_group"); group != "" {
		o.errorf("consumer_group", "consumer groups are not kept: give the plugin to consumers, or use acls with the plugin acl")
	}
	if len(o.list("partials")) > 0 {
		o.errorf("partials", "partials are not kept: write their fields into the config")
	}
	if ordering := o.object("ordering"); ordering != nil && len(ordering.names) > 0 && p.enabled {
		o.errorf("ordering", "plugins run in the order of Kong's priorities: remove ordering")
	}
	if condition := o.str("condition"); condition != "" && p.enabled {
		o.errorf("condition", "conditions are not kept: give the plugin to the routes that it is for")
	}
	if runOn := o.str("run_on"); runOn == "second" {
		o.errorf("run_on", "there is no service mesh: write first, or remove run_on")
	}
	o.ignore("instance_name", "api", "protocols")
	p.config = f.readConfig(o)
	f.plugins = append(f.plugins, p)
}

// readConfig returns the config of a plugin, with what _config and the
// defaults of the file add to it.
func (f *file) readConfig(o *object) *object {
	node := o.get("config")
	if node == nil || node.Kind == yaml.SequenceNode && len(node.Content) == 0 {
		node = &yaml.Node{Kind: yaml.MappingNode, Line: o.line}
	}
	if name := o.str("_config"); name != "" {
		shared := f.configs[name]
		if shared == nil {
			o.errorf("_config", "there is no %q in _plugin_configs: correct the name, or add it", name)
		} else {
			node = withDefaults(node, shared)
		}
	}
	config := newObject(f.p, o.entity, "config.", node)
	if config == nil {
		config = &object{p: f.p, entity: o.entity, path: "config.", line: o.line, read: map[string]bool{}}
	}
	return config
}

// connect finds what the plugin is for.
func (p *plugin) connect(f *file) {
	if p.serviceRef != "" {
		p.service = lookup[*service](f, p.o, "service", "services", p.serviceRef)
	}
	if p.routeRef != "" {
		p.route = lookup[*route](f, p.o, "route", "routes", p.routeRef)
	}
	if p.consumerRef != "" {
		p.consumer = lookup[*consumer](f, p.o, "consumer", "consumers", p.consumerRef)
	}
}

// isFor reports whether the plugin may run on a route.
func (p *plugin) isFor(r *route) bool {
	return p.enabled && (p.route == nil || p.route == r) && (p.service == nil || p.service == r.service)
}

// precedence orders instances of one plugin: the greatest runs. These are Kong's
// eight levels, from the most specific: route, service and consumer; route and
// consumer; service and consumer; route and service; consumer; route; service;
// and for all.
func (p *plugin) precedence() int {
	switch route, service, consumer := p.route != nil, p.service != nil, p.consumer != nil; {
	case route && service && consumer:
		return 8
	case route && consumer:
		return 7
	case service && consumer:
		return 6
	case route && service:
		return 5
	case consumer:
		return 4
	case route:
		return 3
	case service:
		return 2
	}
	return 1
}

// effective is what runs of one plugin on a route: one instance for all, and
// others for single consumers.
type effective struct {
	name      string
	all       *plugin // nil: only for consumers
	consumers []*plugin
}

// effectivePlugins returns what runs on a route, in the order in which it runs.
func (f *file) effectivePlugins(r *route) []effective {
	byName := make(map[string]*effective)
	var names []string
	for _, p := range f.candidates(r) {
		e := byName[p.name]
		if e == nil {
			e = &effective{name: p.name}
			byName[p.name] = e
			names = append(names, p.name)
		}
		if p.consumer == nil {
			if e.all == nil || p.precedence() > e.all.precedence() {
				e.all = p
			}
			continue
		}
		i := slices.IndexFunc(e.consumers, func(other *plugin) bool { return other.consumer == p.consumer })
		if i < 0 {
			e.consumers = append(e.consumers, p)
		} else if p.precedence() > e.consumers[i].precedence() {
			e.consumers[i] = p
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(kinds[b].priority, kinds[a].priority), cmp.Compare(a, b))
	})
	list := make([]effective, 0, len(names))
	for _, name := range names {
		e := *byName[name]
		if e.all != nil { // it may go before what is for a consumer
			e.consumers = slices.DeleteFunc(e.consumers, func(p *plugin) bool { return p.precedence() < e.all.precedence() })
		}
		list = append(list, e)
	}
	return list
}

// checkAuthentication refuses Kong's own authentication beside Gluu's on a route, as Gluu
// Gateway does: a caller would have to satisfy both with one header. If routes are to be
// closed instead, it returns what the route answers.
func (f *file) checkAuthentication(r *route, list []effective) []any {
	var stock, ours *plugin
	for _, e := range list {
		switch e.name {
		case "oauth2", "oauth2-introspection":
			stock = e.all
		case "gluu-oauth-auth", "gluu-uma-auth", "gluu-openid-connect":
			ours = e.all
		}
	}
	if stock == nil || ours == nil {
		return nil
	}
	where := at{stock.o.entity, "", stock.o.line}
	if !f.settings.closeRoutes {
		f.p.errorf(where, "%s authenticates on %s too: remove one of them, or give them to different routes", ours.name, r.o.entity)
		return nil
	}
	f.p.warnf(aboutProtection, where, "%s authenticates on %s too: its requests are answered 501", ours.name, r.o.entity)
	return []any{answer(501, "plugin "+stock.name+" is not available")}
}

// candidates returns the plugins that may run on a route. They are looked up by
// route and service, of which there can be thousands.
func (f *file) candidates(r *route) []*plugin {
	if f.pluginsOf == nil {
		f.pluginsOf = make(map[any][]*plugin)
		for _, p := range f.plugins {
			switch {
			case !p.enabled:
			case p.route != nil:
				f.pluginsOf[p.route] = append(f.pluginsOf[p.route], p)
			case p.service != nil:
				f.pluginsOf[p.service] = append(f.pluginsOf[p.service], p)
			default:
				f.pluginsOf[nil] = append(f.pluginsOf[nil], p)
			}
		}
	}
	list := slices.Concat(f.pluginsOf[nil], f.pluginsOf[r.service], f.pluginsOf[r])
	if r.service == nil {
		list = slices.Concat(f.pluginsOf[nil], f.pluginsOf[r])
	}
	list = slices.DeleteFunc(list, func(p *plugin) bool { return !p.isFor(r) })
	slices.SortFunc(list, func(a, b *plugin) int { return cmp.Compare(a.index, b.index) })
	return list
}

// checkPlugins refuses two instances of a plugin for the same requests: which
// one would run is not said.
func (f *file) checkPlugins() {
	type scope struct {
		name     string
		route    *route
		service  *service
		consumer *consumer
	}
	seen := make(map[scope]*plugin)
	for _, p := range f.plugins {
		if !p.enabled {
			continue
		}
		key := scope{p.name, p.route, p.service, p.consumer}
		if other := seen[key]; other != nil {
			p.o.p.errorf(at{p.o.entity, "", p.o.line}, "there is another one for the same requests, in line %d: remove one", other.o.line)
		}
		seen[key] = p
		if p.consumer != nil && kinds[p.name].noConsumer {
			p.o.errorf("consumer", "the plugin %s runs before the consumer is known: remove consumer", p.name)
		}
		f.prepare(p)
	}
}

// prepare reads the config of a plugin that is enabled. One that cannot be
// kept refuses the file, or closes its routes if that is asked for.
func (f *file) prepare(p *plugin) builder {
	if p.built {
		return p.build
	}
	p.built = true
	kind, known := kinds[p.name]
	if known && kind.read != nil {
		p.build = kind.read(f, p)
		p.config.done()
		return p.build
	}
	remedy := kind.remedy
	if remedy == "" {
		remedy = "remove it, or set GLUU_KONG_UNSUPPORTED=close to answer 501 on its routes"
	}
	if !f.settings.closeRoutes {
		p.o.p.errorf(at{p.o.entity, "", p.o.line}, "the plugin %s is not available: %s", p.name, remedy)
	} else {
		p.o.p.warnf(aboutProtection, at{p.o.entity, "", p.o.line}, "the plugin %s is not available: its requests are answered 501", p.name)
	}
	closed := []any{answer(501, "plugin "+p.name+" is not available")}
	p.build = func(*route) steps { return steps{before: closed, closed: true} }
	return p.build
}

// stepsFor returns what an effective plugin does on a route. What is for single
// consumers is chosen by the consumer of the request.
func (f *file) stepsFor(e effective, r *route) steps {
	var all steps
	if e.all != nil {
		all = f.prepare(e.all)(r)
	}
	if len(e.consumers) == 0 {
		return all
	}
	// Caddy remembers for the whole request which group has been served, so that each
	// choice needs a name of its own.
	first, then := "consumer of "+e.name, "consumer of "+e.name+", with the path for the upstream"
	var before, after []any
	for _, p := range e.consumers {
		own := f.prepare(p)(r)
		match := []any{map[string]any{"vars": map[string]any{"{gluu.consumer.id}": []string{p.consumer.id}}}}
		before = append(before, map[string]any{"group": first, "match": match, "handle": own.before})
		after = append(after, map[string]any{"group": then, "match": match, "handle": own.after})
	}
	before = append(before, map[string]any{"group": first, "handle": all.before})
	after = append(after, map[string]any{"group": then, "handle": all.after})
	return steps{before: []any{subroute(before...)}, after: withoutEmpty(subroute(after...), after)}
}

// withoutEmpty returns a subroute, or nothing if none of its routes has a
// handler.
func withoutEmpty(handler map[string]any, routes []any) []any {
	for _, r := range routes {
		if handle, _ := r.(map[string]any)["handle"].([]any); len(handle) > 0 {
			return []any{handler}
		}
	}
	return nil
}

func subroute(routes ...any) map[string]any {
	return map[string]any{"handler": "subroute", "routes": routes}
}
