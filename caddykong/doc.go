// SPDX-License-Identifier: Apache-2.0

// Package caddykong routes requests as Kong does, so that a configuration of
// Kong keeps its meaning: the matcher gluu_route, the handler gluu_routes, which
// finds one of many routes, and the handler gluu_upstream_path, which makes the
// path for the upstream.
//
// Paths are compared in one normal form ([kongpath]). A route is split into
// rules that have an order among each other (order.go), and an index finds the
// first rule that matches (index.go):
//
//	host  a.example.com          host  (any)
//	 /                            /
//	 ├ orders    prefix           ├ users/   regex ~/users/\d+$
//	 └ o/        prefix           └ (root)   rules without a path
//
// A request visits the trees of its own host, of the wildcards that cover it
// and of any host, and in each the nodes along its path. So the cost grows with
// the depth of the path and not with the number of routes.
package caddykong
