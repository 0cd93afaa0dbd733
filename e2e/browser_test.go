package e2e

import (
	"context"
	"flag"
	"fmt"
	"html"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store/storetest"
)

var screenshots = flag.String("screenshots", "", "a folder in which TestPages leaves pictures of the pages")

// browserLimit bounds one page in the browser, its start included.
const browserLimit = 60 * time.Second

// TestPages looks at the pages that customers see in a real browser. None of them needs JavaScript, so the document that
// the browser has built is what the customer gets.
func TestPages(t *testing.T) {
	t.Parallel()
	chromium := findChromium(t)
	w := newWorld(t, storetest.SQLite(t), simulate.StripeOptions{RedirectWait: 5 * time.Second})
	w.openShop(t)
	client := &http.Client{Timeout: startLimit}
	open, err := w.checkout(t.Context(), client, "az-900")
	if err != nil {
		t.Fatal(err)
	}
	paid, _ := w.buyOnPages(t, "az-900", "ann@example.com", "card")
	several := w.stripe.CreateSession(simulate.SessionParams{
		LineItems: []simulate.LineItemParams{{PriceData: simulate.Price{Product: "AZ-104 practice exam", Currency: "usd", UnitAmount: 3900}, Quantity: 3}},
		Metadata:  map[string]string{"product": "az-104", "quantity": "3", "unit_amount": "3900", "currency": "usd"}}).ID
	if err := w.stripe.Pay(several, simulate.Customer{Email: "di@example.com"}); err != nil {
		t.Fatal(err)
	}
	waiting, _ := w.buyOnPages(t, "az-900", "bob@example.com", "delayed")
	stuck := w.stripe.CreateSession(simulate.SessionParams{LineItems: []simulate.LineItemParams{
		{PriceData: simulate.Price{Product: "A mug", Currency: "usd", UnitAmount: 900}}}}).ID
	if err := w.stripe.Pay(stuck, simulate.Customer{Email: "cy@example.com"}); err != nil {
		t.Fatal(err)
	}
	thanks := w.url + "/thanks?session_id="
	for _, page := range []struct {
		name, url string
		says, not []string
	}{
		{name: "checkout", url: w.stripeURL + "/pay/" + open, says: []string{"AZ-900 practice exam", "29.00 USD", "<form", "Simulated payment page"}},
		{name: "paid", url: thanks + paid, says: []string{"Thank you", keyOf(paid), "AZ-900 practice exam"}, not: []string{"not know", "licences"}},
		{name: "several", url: thanks + several, says: []string{"your 3 licences", keyOf(several), "AZ-104 practice exam"}},
		{name: "waiting", url: thanks + waiting, says: []string{"Your payment is on its way"}, not: []string{"GD-"}},
		{name: "stuck", url: thanks + stuck, says: []string{"Your payment has arrived", "a person"}, not: []string{"GD-"}},
		{name: "unknown", url: thanks + "cs_test_nobody", says: []string{"do not know this order"}, not: []string{"GD-"}},
		{name: "incomplete", url: w.url + "/thanks", says: []string{"do not know this order"}, not: []string{"GD-"}},
	} {
		// One after another: a browser needs most of a small machine.
		t.Run(page.name, func(t *testing.T) { look(t, chromium, page.name, page.url, page.says, page.not) })
	}
	t.Run("trouble", func(t *testing.T) {
		w.stripe.SetFaults(simulate.Faults{FailAPI: func(*http.Request) int { return http.StatusInternalServerError }})
		look(t, chromium, "trouble", thanks+waiting, []string{"One moment, please", "do not have to pay again"}, []string{"GD-"})
		w.stripe.SetFaults(simulate.Faults{})
	})
	t.Run("waiting is over", func(t *testing.T) {
		if err := w.stripe.SettleDelayed(waiting, true); err != nil {
			t.Fatal(err)
		}
		look(t, chromium, "arrived", thanks+waiting, []string{"Thank you", keyOf(waiting)}, []string{"Some ways of paying"})
	})
}

func findChromium(t *testing.T) (path string) {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("There is no chromium in the PATH. Install Debian's package (apt-get install chromium), or run ./scripts/test, which does.")
	}
	return path
}

// look opens a page in the browser and checks what a customer can read there, in the light and in the dark.
func look(t *testing.T, chromium, name, url string, says, not []string) {
	t.Helper()
	document := dump(t, chromium, url)
	for _, words := range says {
		if !strings.Contains(document, words) {
			t.Errorf("%s lacks %q:\n%s", url, words, document)
		}
	}
	for _, words := range not {
		if strings.Contains(document, words) {
			t.Errorf("%s has %q:\n%s", url, words, document)
		}
	}
	if *screenshots == "" {
		return
	}
	for _, shot := range []struct{ suffix, size, more string }{
		{"", "900,700", "--hide-scrollbars"}, {"-narrow", "500,800", "--hide-scrollbars"}, {"-dark", "900,700", "--blink-settings=preferredColorScheme=0"},
	} {
		browse(t, chromium, url, "--window-size="+shot.size, shot.more, "--screenshot="+filepath.Join(*screenshots, name+shot.suffix+".png"))
	}
}

var styleElement = regexp.MustCompile(`(?s)<style>.*?</style>`)

// dump returns the document as the browser built it, without style and entities.
func dump(t *testing.T, chromium, url string) string {
	t.Helper()
	return html.UnescapeString(styleElement.ReplaceAllString(browse(t, chromium, url, "--dump-dom"), ""))
}

// browse runs the browser once. It is a group of processes, all of which end with it.
func browse(t *testing.T, chromium, url string, flags ...string) (output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), browserLimit)
	defer cancel()
	home := t.TempDir()
	cmd := exec.CommandContext(ctx, chromium, append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--user-data-dir=" + home}, append(flags, url)...)...)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	group := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = group
	cmd.WaitDelay = 5 * time.Second
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	_ = group() // usually it is gone already
	if err != nil {
		t.Fatal(fmt.Errorf("chromium %s: %w\n%s", url, err, tail(errs.String())))
	}
	return string(out)
}
