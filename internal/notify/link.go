package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"
)

// Links makes and reads the addresses in messages. A link to acknowledge is a signed permission for one message: whoever
// has it needs no log-in, it works once, and it ends by itself.
type Links struct {
	Base string       // public address of this process, without a slash at the end; "" makes no links
	Key  secret.Value // signs; kept in the database, so that links outlive a restart
	// Flags are what a command about these incidents needs besides, such as --watcher FILE; "" is the server's.
	Flags string
}

// linkFor is how long a link to acknowledge works: longer than anybody should need, shorter than mail archives live.
const linkFor = 24 * time.Hour

// Acknowledge is the link of what a channel is told in a message: asked for, it shows the record of the incidents; posted to,
// it acknowledges those that are open. Programs that look at links in mails and chats only ask, so they acknowledge nothing.
func (l Links) Acknowledge(channel, messageID string, now time.Time) string {
	if l.Base == "" || l.Key.Empty() {
		return ""
	}
	body := base64.RawURLEncoding.EncodeToString([]byte(channel + "\x00" + messageID + "\x00" + strconv.FormatInt(now.Add(linkFor).Unix(), 10)))
	return l.Base + "/ack/" + body + "." + l.sign(body)
}

func (l Links) sign(body string) string {
	h := hmac.New(sha256.New, []byte(l.Key.Reveal()))
	h.Write([]byte("makegood acknowledge v1\x00" + body))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:24])
}

// Permission is what a link to acknowledge allows.
type Permission struct {
	Channel   string
	MessageID string
	Expires   time.Time
}

// ID is under which the use of the link is remembered.
func (p Permission) ID() string { return "ack/" + p.Channel + "/" + p.MessageID }

// Read proves the token of a link. A forged one is makegood.Forbidden, one that has ended makegood.Conflict.
func (l Links) Read(token string, now time.Time) (Permission, error) {
	body, signature, ok := strings.Cut(token, ".")
	if !ok || l.Key.Empty() || !hmac.Equal([]byte(signature), []byte(l.sign(body))) {
		return Permission{}, makegood.Errorf(makegood.Forbidden, "This link was not made here, or was cut on its way. Use: %s", l.Command("incidents ack ID"))
	}
	raw, err := base64.RawURLEncoding.DecodeString(body)
	parts := strings.Split(string(raw), "\x00")
	if err != nil || len(parts) != 3 {
		return Permission{}, makegood.Errorf(makegood.Forbidden, "This link cannot be read.")
	}
	unix, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return Permission{}, makegood.Wrap(fmt.Errorf("end of a link: %w", err), makegood.Forbidden, "This link cannot be read.")
	}
	p := Permission{Channel: parts[0], MessageID: parts[1], Expires: time.Unix(unix, 0)}
	if now.After(p.Expires) {
		return p, makegood.Errorf(makegood.Conflict, "This link ended after a day. Use: %s", l.Command("incidents ack ID"))
	}
	return p, nil
}

// Command is a command line about incidents as a person types it here.
func (l Links) Command(words string) string {
	if l.Flags == "" {
		return "makegood " + words
	}
	return "makegood " + words + " " + l.Flags
}
