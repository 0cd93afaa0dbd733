package config

// Recipe is a row that an operator writes for the provider generic. Its fields are those of package recipe's Generic,
// which says what they mean and checks them.
type Recipe struct {
	Header, Prefix, Separator, SignatureKey, TimestampKey string
	Encoding, Key, KeyPrefix, Algorithm, Signed           string
	TimestampHeader, TimestampUnit, IDHeader              string
	Reading                                               RecipeReading
}

// RecipeReading is how bodies are read.
type RecipeReading struct {
	Format, EventID, EventType, CreatedAt, Object, Live, LiveValue string
	Facts                                                          []RecipeFact
}

// RecipeFact makes facts of one kind of object.
type RecipeFact struct {
	Types, References                            []string
	Root, Each, Status, Session, Payment, ID     string
	Amount, Currency, FixedCurrency, Email, Name string
	Is                                           map[string]string
	Decimal                                      bool
	Lines                                        RecipeLines
}

// RecipeLines is how what was bought is read.
type RecipeLines struct {
	List, Price, Code, Label, Quantity, Unit, Subtotal, OrderCode, OrderQuantity string
}

func (p *parsing) recipe(n *node) *Recipe {
	if n.absent {
		return nil
	}
	get := func(name string) string { return p.text(n, name) }
	r := &Recipe{
		Header: get("header"), Prefix: get("prefix"), Separator: get("separator"), SignatureKey: get("signature_key"),
		TimestampKey: get("timestamp_key"), Encoding: get("encoding"), Key: get("key"), KeyPrefix: get("key_prefix"),
		Algorithm: get("algorithm"), Signed: get("signed"), TimestampHeader: get("timestamp_header"),
		TimestampUnit: get("timestamp_unit"), IDHeader: get("id_header"),
	}
	n = p.child(n, "reading")
	r.Reading = RecipeReading{Format: get("format"), EventID: get("event_id"), EventType: get("event_type"), CreatedAt: get("created_at"),
		Object: get("object"), Live: get("live"), LiveValue: get("live_value")}
	for _, item := range p.child(n, "facts").items {
		r.Reading.Facts = append(r.Reading.Facts, p.recipeFact(item))
	}
	return r
}

func (p *parsing) recipeFact(n *node) RecipeFact {
	get := func(name string) string { return p.text(n, name) }
	f := RecipeFact{
		Types: textsOf(p.child(n, "types")), References: textsOf(p.child(n, "references")), Root: get("root"), Each: get("each"),
		Status: get("status"), Session: get("session"), Payment: get("payment"), ID: get("id"), Amount: get("amount"),
		Currency: get("currency"), FixedCurrency: get("fixed_currency"), Email: get("email"), Name: get("name"),
		Decimal: p.flag(n, "decimal"),
	}
	for _, v := range p.child(n, "is").items {
		if f.Is == nil {
			f.Is = map[string]string{}
		}
		f.Is[v.name] = v.text
	}
	n = p.child(n, "lines")
	f.Lines = RecipeLines{List: get("list"), Price: get("price"), Code: get("code"), Label: get("label"), Quantity: get("quantity"),
		Unit: get("unit"), Subtotal: get("subtotal"), OrderCode: get("order_code"), OrderQuantity: get("order_quantity")}
	return f
}

func textsOf(n *node) []string {
	var list []string
	for _, item := range n.items {
		list = append(list, item.text)
	}
	return list
}
