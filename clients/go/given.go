package authverifier

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

const lastPort = 65535

// placeholder is what is left where a shell, Compose or a template was to put a variable in, and did not.
var placeholder = regexp.MustCompile(`^(\$\{[^}]*\}|\$[A-Za-z_]\w*|%[A-Za-z_]\w*%)$`)

// wrong is the error of addresses that no request can go to. It does not repeat them, since they may have
// a password.
func (o Options) wrong() error {
	for _, given := range []struct{ option, address string }{
		{"ServiceURL", o.ServiceURL}, {"RevocationsURL", o.RevocationsURL}, {"JWKSURL", o.JWKSURL},
	} {
		if given.address != "" && !isAddress(given.address, "http", "https") {
			return fmt.Errorf("authverifier: %s must begin with http:// or https:// and name a host", given.option)
		}
	}
	if o.RedisURL != "" {
		// The library takes a socket, too, and a missing host for this one.
		_, err := redis.ParseURL(o.RedisURL)
		if err != nil || !strings.HasPrefix(o.RedisURL, "unix:") && !isAddress(o.RedisURL, "redis", "rediss") {
			return errors.New("authverifier: RedisURL must begin with redis:// or rediss:// and name a host")
		}
	}
	return nil
}

func isAddress(address, scheme, orScheme string) bool {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != scheme && parsed.Scheme != orScheme || parsed.Hostname() == "" {
		return false
	}
	port, err := strconv.Atoi(parsed.Port())
	return parsed.Port() == "" || err == nil && port <= lastPort
}

// wrongSecret is the error of a secret with which anybody could sign.
func wrongSecret(secret string) error {
	switch {
	case secret == "":
		return errors.New("authverifier: a secret is empty")
	case placeholder.MatchString(secret):
		return errors.New("authverifier: a secret is a variable that was not replaced")
	}
	return nil
}
