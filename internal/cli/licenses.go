package cli

import (
	"errors"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
)

type licenseCommands struct {
	Show licensesShowCommand `cmd:"" help:"Show a licence and its order."`
}

type licensesShowCommand struct {
	Key string `arg:"" help:"The key, in any spelling, or the licence's id."`
	looking
}

// Run shows one licence.
func (c licensesShowCommand) Run(s *surroundings) error {
	return c.look(s, func(db *store.Store) error {
		key, misspelt := makegood.NormalizeKey(c.Key)
		if misspelt != nil {
			key = c.Key
		}
		l, orderID, _, err := db.LicenseByKey(s.ctx, key)
		if errors.Is(err, makegood.NotFound) && misspelt != nil {
			return misspelt
		}
		if errors.Is(err, makegood.NotFound) {
			return makegood.Errorf(makegood.NotFound, "No licence has the key %s. It was never issued by this server, or it was misread: "+
				"a key is twelve letters and digits in groups of four, after its prefix.", oneLine(key))
		}
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
		w := sheet{s.out}
		w.row("Key", "%s", l.Key)
		w.row("Status", "%s", l.Status)
		w.more(statusHelp[l.Status])
		w.row("Product", "%s", l.Product)
		w.row("Issued", "%s UTC", stamp(l.IssuedAt))
		w.row("Order", "%s", orderID)
		w.row("Licence id", "%s, made with the key secret %q, revision %d", l.ID, l.KeyID, l.Revision)
		return nil
	})
}

// statusHelp says what a status means for the customer.
var statusHelp = map[makegood.LicenseStatus]string{
	makegood.LicenseSuspended: "It does not validate while the customer's dispute is open.",
	makegood.LicenseRevoked:   "It does not validate any more: the money went back.",
}
