package envfile

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/host/hosttest"
)

// A file of variables does what every place has to do. What starts the program again copies the file, so that it can be seen what
// the program was started with.
func TestConformance(t *testing.T) {
	t.Parallel()
	hosttest.Run(t, func(t *testing.T) hosttest.World {
		present := map[string]string{"STRIPE_WEBHOOK_SECRET": oldSecret, "RESEND_API_KEY": "re_the_key_of_the_mail_service"}
		s := newShop(t, "STRIPE_WEBHOOK_SECRET="+oldSecret+"\nRESEND_API_KEY=re_the_key_of_the_mail_service\n", "cp shop.env running", func(o *Options) { o.Now = time.Now })
		s.write("running", s.file("shop.env"), 0o600)
		values := func(name string) func() map[string]string {
			return func() map[string]string {
				text, err := os.ReadFile(filepath.Join(s.dir, name))
				if err != nil {
					t.Fatal(err)
				}
				d, err := parse(string(text))
				if err != nil {
					t.Fatal(err)
				}
				all := map[string]string{}
				for _, name := range d.names() {
					all[name] = d[d.last(name)].value
				}
				return all
			}
		}
		return hosttest.World{Target: s.Target, Present: present, Held: values("shop.env"), Running: values("running")}
	})
}
