// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Consumer is a party that uses an API: a partner, an application, a team.
// It has the fields of the consumer object of Kong's admin API.
//
// A Consumer that a Directory or Store has returned is shared and must not be
// changed.
type Consumer struct {
	// The consumer's id, a UUID. Default: derived from the username, so that
	// it is the same on every gateway and after every restart.
	ID string `json:"id,omitempty"`

	// The unique name of the consumer. A consumer has a username or a
	// custom_id, or both.
	Username string `json:"username,omitempty"`

	// The OAuth client id whose tokens identify this consumer. Unique for each
	// provider.
	CustomID string `json:"custom_id,omitempty"`

	// The name of the provider whose client the `custom_id` is. A client of this id
	// at another provider is then not this consumer. For a token, the consumer that
	// names its provider goes before one that names none. Default: any provider.
	Provider string `json:"provider,omitempty"`

	// Free words to find consumers by. They decide nothing.
	Tags []string `json:"tags,omitempty"`

	// The groups that the consumer belongs to. `gluu_acl` allows or denies
	// groups, and tells the upstream which ones there are.
	Groups []string `json:"groups,omitempty"`

	// When the consumer was created, in seconds since 1970. Set by the
	// gateway for consumers created while it runs.
	CreatedAt int64 `json:"created_at,omitempty"`
}

// maxText bounds every text field. The fields travel in request headers.
const (
	maxText   = 512
	maxTags   = 64
	maxGroups = 64
)

// namespace is the UUID under which ids are derived (RFC 9562, section 5.5).
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/caddy-gluu/gateway/consumer"))

// DeriveID returns the id of a consumer that was configured without one: the
// version 5 UUID of its username.
func DeriveID(username string) string {
	return uuid.NewSHA1(namespace, []byte(username)).String()
}

// Name returns the consumer's name for people: the username, else the
// custom_id.
func (c *Consumer) Name() string {
	if c.Username != "" {
		return c.Username
	}
	return c.CustomID
}

// InvalidError says why a consumer cannot exist.
type InvalidError struct {
	Field  string // JSON name of the field
	Reason string
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("%s %s", e.Field, e.Reason)
}

// Check says why there can be no such consumer: an [*InvalidError].
func (c Consumer) Check() error { return c.normalize() }

// normalize fills in what may be left out, brings the id into its canonical
// form and checks the rest.
func (c *Consumer) normalize() error {
	if c.Username == "" && c.CustomID == "" {
		return &InvalidError{"username", "is required without a custom_id"}
	}
	if c.ID == "" {
		c.ID = DeriveID(cmp.Or(c.Username, clientKey(c.Provider, c.CustomID)))
	}
	id, ok := canonicalID(c.ID)
	if !ok {
		return &InvalidError{"id", fmt.Sprintf("%q is not a UUID: write 8-4-4-4-12 hexadecimal digits or leave it out", c.ID)}
	}
	c.ID = id
	// A consumer can be asked for by id or username. A username that looks
	// like an id could answer for another consumer.
	if name, isID := canonicalID(c.Username); isID && name != c.ID {
		return &InvalidError{"username", fmt.Sprintf("%q is a UUID, which could be taken for the id of another consumer: choose another name", c.Username)}
	}
	if c.Username == "." || c.Username == ".." {
		return &InvalidError{"username", fmt.Sprintf("%q cannot be part of an address: choose another name", c.Username)}
	}
	if err := checkText("username", c.Username); err != nil {
		return err
	}
	if err := checkText("custom_id", c.CustomID); err != nil {
		return err
	}
	if err := checkText("provider", c.Provider); err != nil {
		return err
	}
	if c.Provider != "" && c.CustomID == "" {
		return &InvalidError{"provider", "says whose client the custom_id is, and there is no custom_id"}
	}
	if len(c.Tags) > maxTags {
		return &InvalidError{"tags", fmt.Sprintf("are %d: at most %d are allowed", len(c.Tags), maxTags)}
	}
	for _, tag := range c.Tags {
		if tag == "" {
			return &InvalidError{"tags", "contain an empty one"}
		}
		if err := checkText("tags", tag); err != nil {
			return err
		}
	}
	if err := c.checkGroups(); err != nil {
		return err
	}
	if c.CreatedAt < 0 {
		return &InvalidError{"created_at", "is negative"}
	}
	return nil
}

func (c *Consumer) checkGroups() error {
	if len(c.Groups) > maxGroups {
		return &InvalidError{"groups", fmt.Sprintf("are %d: at most %d are allowed", len(c.Groups), maxGroups)}
	}
	for i, group := range c.Groups {
		if err := CheckGroup(group); err != nil {
			return err
		}
		if slices.Contains(c.Groups[:i], group) {
			return &InvalidError{"groups", fmt.Sprintf("contain %q twice", group)}
		}
	}
	return nil
}

// CheckGroup refuses a name that no group can have. Upstreams are told the
// groups of a consumer in one header, separated by commas: a group with a comma
// in its name would read as two.
func CheckGroup(name string) error {
	if name == "" {
		return &InvalidError{"groups", "contain an empty one"}
	}
	if strings.Contains(name, ",") {
		return &InvalidError{"groups", fmt.Sprintf("contain %q, but a comma separates groups: leave a space between two groups, or choose another name", name)}
	}
	return checkText("groups", name)
}

// checkText refuses what could not be sent in a header.
func checkText(field, s string) error {
	if len(s) > maxText {
		return &InvalidError{field, fmt.Sprintf("is %d bytes long: at most %d are allowed", len(s), maxText)}
	}
	if !utf8.ValidString(s) {
		return &InvalidError{field, "is not valid UTF-8"}
	}
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }) {
		return &InvalidError{field, "contains a control character"}
	}
	if strings.TrimSpace(s) != s {
		return &InvalidError{field, "begins or ends with white space"}
	}
	return nil
}

// clientKey is under which a consumer is found by its client: the client id, after
// the provider where it names one. Neither contains a NUL.
func clientKey(provider, customID string) string {
	if provider == "" || customID == "" {
		return customID
	}
	return provider + "\x00" + customID
}

// canonicalID returns s in lower case if it is a UUID in the common form.
func canonicalID(s string) (string, bool) {
	if len(s) != 36 {
		return "", false
	}
	id, err := uuid.Parse(s)
	if err != nil {
		return "", false
	}
	return id.String(), true
}

func (c *Consumer) equal(other *Consumer) bool {
	return c.ID == other.ID && c.Username == other.Username && c.CustomID == other.CustomID && c.Provider == other.Provider &&
		c.CreatedAt == other.CreatedAt && slices.Equal(c.Tags, other.Tags) && slices.Equal(c.Groups, other.Groups)
}

// ConflictError says that a field which must be unique is taken.
type ConflictError struct {
	Field      string // JSON name of the field
	Value      string
	Configured bool // by a consumer of the configuration
}

// newConflict returns the error for a field of c that is taken.
func newConflict(field string, c *Consumer, configured bool) *ConflictError {
	value := map[string]string{"id": c.ID, "username": c.Username, "custom_id": c.CustomID}[field]
	return &ConflictError{Field: field, Value: value, Configured: configured}
}

func (e *ConflictError) Error() string {
	owner := "another consumer"
	if e.Configured {
		owner = "a consumer of the configuration"
	}
	return fmt.Sprintf("%s %q belongs to %s", e.Field, e.Value, owner)
}

var (
	// ErrNotFound is returned for a consumer that does not exist.
	ErrNotFound = errors.New("consumer not found")

	// ErrConfigured is returned by a change to a consumer of the configuration.
	ErrConfigured = errors.New("the consumer belongs to the configuration and can only be changed there")

	// ErrNoStore is returned by a change when the directory has no store.
	ErrNoStore = errors.New("consumers have no storage")
)
