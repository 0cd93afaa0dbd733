package bench

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/demo"
)

// BenchmarkIdle starts the built binary as an operator would and reads what it costs to have it there: start to ready,
// resident memory and CPU of a server that has nothing to do.
func BenchmarkIdle(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "makegood")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/makegood").CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	for _, engine := range engines {
		b.Run(engine.name, func(b *testing.B) {
			url := engine.url(b)
			var ready time.Duration
			var rss, cpu float64
			n := 0
			for b.Loop() {
				r, kb, share := idle(b, binary, url)
				ready += r
				rss += kb
				cpu += share
				n++
			}
			b.ReportMetric(float64(ready.Milliseconds())/float64(n), "ready-ms")
			b.ReportMetric(rss/float64(n)/1024, "rss-MB")
			b.ReportMetric(cpu/float64(n)*100, "cpu-percent")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func idle(b *testing.B, binary, url string) (ready time.Duration, rssKB, cpuShare float64) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := l.Addr().String()
	l.Close() // the server takes it; nobody else on this machine looks for a port just now
	file := filepath.Join(b.TempDir(), "makegood.yaml")
	text := fmt.Sprintf(`
listen: %s
public_url: http://%s
database: %s
log: {level: warn}
sources: [{name: stripe, provider: stripe, mode: test, api_key: "env:K", webhook_secrets: ["env:W"]}]
products: [{code: az-900, name: AZ-900, price: 29.00 USD}]
licenses: {key_secrets: [{id: k1, secret: "env:L"}]}
mail: {from: shop@example.com, resend: {api_key: "env:R"}}
`, address, address, url)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	server := exec.Command(binary, "serve", "--config", file)
	server.Env = append(os.Environ(), "K="+demo.StripeKey, "W="+demo.WebhookSecret, "R="+demo.ResendKey, "L="+demo.LicenseSecret)
	server.Stderr = os.Stderr
	began := time.Now()
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		server.Process.Signal(os.Interrupt)
		if err := server.Wait(); err != nil {
			b.Errorf("the server ended with %v", err)
		}
	}()
	for {
		response, err := http.Get("http://" + address + "/readyz")
		if err == nil {
			response.Body.Close()
			break
		}
		if time.Since(began) > 20*time.Second {
			b.Fatal("the server is not ready after 20 s")
		}
		time.Sleep(time.Millisecond)
	}
	ready = time.Since(began)
	before := ticks(b, server.Process.Pid)
	const quiet = 10 * time.Second
	time.Sleep(quiet)
	return ready, status(b, server.Process.Pid, "VmRSS"), float64(ticks(b, server.Process.Pid)-before) / 100 / quiet.Seconds()
}

// status reads a figure in kB from the kernel's account of a process.
func status(b *testing.B, pid int, name string) float64 {
	b.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb
		}
	}
	b.Fatalf("no %s", name)
	return 0
}

// ticks are the hundredths of a second of CPU that a process has used.
func ticks(b *testing.B, pid int) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		b.Fatal(err1, err2)
	}
	return user + system
}
