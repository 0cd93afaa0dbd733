package cli

import (
	"net"
	"strings"
	"time"
)

// tellWithin bounds one word to the supervisor.
const tellWithin = time.Second

// supervisor tells systemd, or what speaks like it, how the program is: the protocol of sd_notify, one datagram a word.
// Where no supervisor listens, nothing is said. A word that does not get through is lost: the supervisor's own patience is
// what notices.
func supervisor(lookup func(string) (string, bool)) func(state string) {
	path, ok := lookup("NOTIFY_SOCKET")
	if !ok || path == "" {
		return nil
	}
	if strings.HasPrefix(path, "@") { // an abstract socket
		path = "\x00" + path[1:]
	}
	return func(state string) {
		conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			return
		}
		defer conn.Close()
		if conn.SetWriteDeadline(time.Now().Add(tellWithin)) == nil { // one that reads nothing any more must not hang us
			_, _ = conn.Write([]byte(state))
		}
	}
}
