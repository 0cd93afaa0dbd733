package cli

import (
	"fmt"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
)

type licenseCommands struct {
	Show licensesShowCommand `cmd:"" help:"Show a licence and its order."`
}

type licensesShowCommand struct {
	Key  string `arg:"" help:"The key, in any spelling, or the licence's id."`
	JSON bool   `help:"Print JSON."`
}

// Run shows one licence.
func (c licensesShowCommand) Run(s *surroundings) error {
	return s.withStore(func(db *store.Store) error {
		key := c.Key
		if normal, err := makegood.NormalizeKey(c.Key); err == nil {
			key = normal
		}
		l, orderID, err := db.LicenseByKey(s.ctx, key)
		if err != nil {
			return err
		}
		if c.JSON {
			return s.printJSON(struct {
				licenseRow
				OrderID  string `json:"order_id"`
				KeyID    string `json:"key_id"`
				Revision int    `json:"revision"`
			}{licenseRow{l.ID, l.Key, l.Product, l.Status, l.IssuedAt}, orderID, l.KeyID, l.Revision})
		}
		fmt.Fprintf(s.out, "Licence  %s\nKey      %s (made with secret %s, revision %d)\nProduct  %s\nStatus   %s\nIssued   %s\nOrder    %s\n",
			l.ID, l.Key, l.KeyID, l.Revision, l.Product, l.Status, stamp(l.IssuedAt), orderID)
		return nil
	})
}
