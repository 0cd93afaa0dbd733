package recipe

import "github.com/makegood/makegood"

// github reads GitHub Sponsors (docs.github.com, "Validating webhook deliveries" and "Webhook events and payloads",
// sponsorship). The id and the name of an event stand in headers, so a body is known by its shape and by its hash.
//
// A sponsorship is the order, and what was bought is its tier. It is paid when it is created; later months tell nothing,
// and ending one takes nothing back that was paid for. GitHub tells no address of the sponsor.
func github() row {
	return row{
		info: Info{Name: "github", Title: "GitHub Sponsors", Secret: "the secret of the sponsorship webhook, which you chose yourself",
			Events: "sponsorship (of the sponsored account's dashboard)"},
		key:     keyRaw,
		schemes: []scheme{{header: "X-Hub-Signature-256", prefix: "sha256=", signed: templateOf("{body}"), encode: toHex}},
		reading: reading{
			shapes: []shape{{"sponsorship", []string{"sponsorship", "action"}}, {"ping", []string{"zen", "hook_id"}}},
			object: []string{"sponsorship.node_id"}, created: []string{"created_at", "sponsorship.created_at"},
			rules: []rule{{
				types: []string{"sponsorship"}, root: []string{"sponsorship"}, status: []string{"/action"},
				is: map[string]makegood.FactKind{"created": makegood.FactPaid}, session: []string{"node_id"},
				amount: []string{"tier.monthly_price_in_cents"}, fixed: "usd", email: []string{"sponsor.email"}, name: []string{"sponsor.login"},
				lines: lineSpec{
					list: []string{""}, price: []string{"tier.node_id"}, label: []string{"tier.name"},
					unit: []string{"tier.monthly_price_in_cents"}, subtotal: []string{"tier.monthly_price_in_cents"},
				},
			}},
		},
	}
}
