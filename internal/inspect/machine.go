package inspect

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"syscall"
	"time"

	"github.com/makegood/makegood/internal/outbound"
)

func certificateEnding(in *inspector, _ row) []subject {
	return in.certificate(certificateNow)
}

func certificateExpiry(in *inspector, _ row) []subject {
	return in.certificate(certificateSoon, "certificate-ending")
}

// certificate looks at the certificate of public_url as those see it who come to it. An address that cannot be reached from
// here says nothing: there are networks in which a server does not see itself from outside.
func (in *inspector) certificate(within time.Duration, dependsOn ...string) []subject {
	u, err := url.Parse(in.PublicURL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return nil
	}
	address := net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443"))
	return one(func(ctx context.Context) (string, error) {
		ends, err := in.handshake(ctx, address, u.Hostname())
		var refused *tls.CertificateVerificationError
		if errors.As(err, &refused) {
			return "the certificate is not accepted: " + refused.Err.Error(), nil
		}
		if err != nil {
			return "", err
		}
		if left := ends.Sub(in.Now()); left < within {
			return fmt.Sprintf("the certificate ends in %s, on %s", age(left), ends.UTC().Format(time.DateOnly)), nil
		}
		return "", nil
	}, dependsOn...)
}

// handshake returns when the certificate ends, or the first of those that vouch for it.
func (in *inspector) handshake(ctx context.Context, address, name string) (ends time.Time, err error) {
	plain, err := in.Dial(ctx, "tcp", address)
	if err != nil {
		return ends, err
	}
	defer plain.Close()
	conn := tls.Client(plain, &tls.Config{ServerName: name, RootCAs: in.Roots, Time: in.Now})
	if err := conn.HandshakeContext(ctx); err != nil {
		return ends, err
	}
	for _, chain := range conn.ConnectionState().VerifiedChains {
		if first := firstEnd(chain); first.After(ends) { // who comes may take any chain, so the best counts
			ends = first
		}
	}
	return ends, nil
}

func firstEnd(chain []*x509.Certificate) time.Time {
	ends := chain[0].NotAfter
	for _, c := range chain {
		if c.NotAfter.Before(ends) {
			ends = c.NotAfter
		}
	}
	return ends
}

// clock is red when every service that was heard lately agrees that our clock is off by more than the figure, in seconds. One
// service whose clock is wrong does not make ours wrong.
func clock(in *inspector, r row) []subject {
	if in.Skews == nil {
		return nil
	}
	var dependsOn []string
	if r.Code == "clock-skew" {
		dependsOn = []string{"clock-wrong"}
	}
	return one(func(context.Context) (string, error) {
		var least *outbound.Skew
		for _, s := range in.Skews() {
			if since := in.Now().Sub(s.At).Abs(); since > skewFresh {
				continue
			}
			if least == nil || s.By.Abs() < least.By.Abs() {
				least = &s
			}
		}
		if least == nil {
			return "", errors.New("no service has told its time lately")
		}
		if least.By.Abs() <= time.Duration(r.above)*time.Second {
			return "", nil
		}
		direction := "ahead of"
		if least.By < 0 {
			direction = "behind"
		}
		return fmt.Sprintf("our clock is at least %s %s that of %s", age(least.By.Abs()), direction, least.Target), nil
	}, dependsOn...)
}

func disk(in *inspector, _ row) []subject {
	if in.Folder == "" {
		return nil
	}
	return one(func(context.Context) (string, error) {
		free, total, err := in.Free(in.Folder)
		if err != nil {
			return "", err
		}
		if free >= diskLeast && free >= total/diskShare {
			return "", nil
		}
		return fmt.Sprintf("%s of %s are free where the database is", size(free), size(total)), nil
	})
}

func size(bytes uint64) string {
	if bytes < 1<<30 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
}

// freeSpace asks the file system how much of it this user may still write.
func freeSpace(folder string) (free, total uint64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return 0, 0, fmt.Errorf("the disk of the database cannot be asked: %w", err)
	}
	block := uint64(s.Bsize)
	return uint64(s.Bavail) * block, uint64(s.Blocks) * block, nil
}

func backupAge(in *inspector, r row) []subject {
	return one(func(ctx context.Context) (string, error) {
		if in.Backup == nil {
			return "", errNotConfigured
		}
		newest, err := in.Backup(ctx)
		if err != nil {
			return "", err
		}
		if newest.IsZero() {
			return "no backup has been proved yet", nil
		}
		if old := in.Now().Sub(newest); old > time.Duration(r.above)*time.Hour {
			return fmt.Sprintf("the newest proved backup is %s old, more than %d hours", age(old), r.above), nil
		}
		return "", nil
	})
}
