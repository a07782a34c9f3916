// SPDX-License-Identifier: Apache-2.0

// Package authcore is the core of the authorization server: what a client, a
// redirect URI, a scope, a resource and a grant are, and how they are stored. It
// knows neither HTTP nor Caddy. A codec turns requests of one protocol into calls
// of this package, and its results and [Fault]s into answers.
//
// # Records
//
// A [Store] keeps them in an internal/store, whose engine is a file, PostgreSQL or
// Redis:
//
//	Client        a credential that was made at run time        until it is deleted, or unused for too long
//	Grant         what a person has allowed a client            as long as anything of it is valid
//	Code          an authorization code                         a minute, then a mark that it was used
//	RefreshToken  one generation of the refresh token           until it is idle for too long
//	AccessToken   an opaque token, or the revocation of a JWT   until it expires
//	Challenge     an authorization request, waiting for a user  ten minutes
//	Pushed        a request from the PAR endpoint               a minute
//	Consent       what a person said yes to                     until it is deleted
//
// A Grant is the family of all that came from one code. It is a record of its own,
// so ending it is one write, and it holds at once: [Store.FindToken] and
// [Store.RotateRefresh] read the grant, and whatever issues a token checks in the
// same Commit that the grant is still there.
//
// # Acts
//
// There is one function for each act, and each is one Commit, so of many that do the
// same at the same moment, on any number of gateways, one wins:
//
//	CreateClient  Client  ClientByID  ReplaceClient  DeleteClient  ListClients
//	IssueCode     RedeemCode
//	StartGrant    Grant  EndGrant  EndGrants  ListGrants
//	RotateRefresh
//	IssueToken    ImportToken  FindToken  RevokeToken  ReplaceToken  ListTokens
//	OpenChallenge Challenge  AnswerChallenge  CloseChallenge
//	Push          TakePushed
//	UseOnce       Remember  Remembered  Forget
//
// # At rest
//
// No code, token or secret is stored. A record's key is the SHA-256 of the token, its
// value is sealed, index entries are keyed hashes. The successor of a refresh token,
// which is needed while the grace period lasts, is sealed with a key that is derived
// from its predecessor: only the holder of that can open it.
//
// # Errors
//
// A *[Fault] is the caller's mistake or an attack; a codec answers with it. Every other
// error says that the store could not be asked: 503, never a decision.
package authcore
