package store

import (
	"context"

	"github.com/makegood/makegood"
)

const licenseColumns = `id, license_key, key_id, line, unit, revision, product, status, issued_at, expires_at`

func scanLicense(row Row, more ...any) (makegood.License, error) {
	var l makegood.License
	var issued, expires int64
	err := row.Scan(append([]any{&l.ID, &l.Key, &l.KeyID, &l.Line, &l.Unit, &l.Revision, &l.Product, (*string)(&l.Status),
		&issued, &expires}, more...)...)
	l.IssuedAt, l.ExpiresAt = fromMicros(issued), fromMicros(expires)
	return l, err
}

// LicenseByKey returns a licence, the id of its order and whether that was paid with real money, by the key as issued. It
// is makegood.NotFound when there is none.
func (s *Store) LicenseByKey(ctx context.Context, key string) (l makegood.License, orderID string, live bool, err error) {
	err = s.read(ctx, func(tx Tx) error {
		l, err = scanLicense(tx.QueryRow(ctx, `
			SELECT `+licenseColumns+`, order_id, (SELECT live FROM orders WHERE orders.id = licenses.order_id)
			FROM licenses
			WHERE license_key = $1 OR id = $1`, key), &orderID, &live)
		return notFound(err, "There is no such licence.")
	})
	return l, orderID, live, err
}
