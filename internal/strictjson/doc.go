// SPDX-License-Identifier: Apache-2.0

// Package strictjson reads JSON that two parties must read alike: claims, keys,
// metadata, policies.
//
// encoding/json is not enough for that. It takes the last of two members of one
// name where other decoders take the first, fills a field "iss" from a member
// "ISS", and replaces half a surrogate pair by another character. An attacker
// who knows two decoders that differ can show a different document to each.
//
// [Object] reads an object that has one meaning only, or says why it has
// several. [Cursor] walks over any valid text for a caller who applies stricter
// rules and has to say where in the text one of them was broken.
package strictjson
