package stripe_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/makegood/makegood"
)

// telling is one of the ways in which Stripe tells of one object: an event, and what the API answers to it.
type telling struct {
	name, event string
	answers     map[string]string
	atLeast     bool // it knows references that the others do not
}

// tell reads one telling.
func tell(t *testing.T, way telling) makegood.Fact {
	t.Helper()
	handlers := map[string]http.HandlerFunc{}
	for path, answer := range way.answers {
		handlers[path] = body(answer)
	}
	got, err := interpret(t.Context(), newStripe(t, newAPI(t, handlers).URL, nil), way.event)
	if err != nil || len(got.Facts) != 1 {
		t.Fatalf("%s: Interpret of %s = %+v, %v; want one fact", way.name, way.event, got, err)
	}
	return got.Facts[0]
}

// agree checks that all tellings of one object give one fact, and that joining them in any order tells no contradiction.
func agree(t *testing.T, ways []telling) {
	t.Helper()
	first := tell(t, ways[0])
	for _, way := range ways[1:] {
		other := tell(t, way)
		ignored := cmpopts.IgnoreFields(makegood.Fact{}, "EventID", "OccurredAt")
		if way.atLeast {
			ignored = cmpopts.IgnoreFields(makegood.Fact{}, "EventID", "OccurredAt", "References")
		}
		if diff := cmp.Diff(first, other, ignored); diff != "" {
			t.Errorf("%s and %s tell different facts (-first +other):\n%s", ways[0].name, way.name, diff)
		}
		there, back := makegood.Order{Key: first.Key}, makegood.Order{Key: first.Key}
		there.Learn(first)
		there.Learn(other)
		back.Learn(other)
		back.Learn(first)
		if diff := cmp.Diff(there.Facts, back.Facts, cmpopts.EquateEmpty()); diff != "" || len(there.Facts) != 1 || there.Facts[0].Contradicted {
			t.Errorf("joining %s and %s gives %+v, which depends on the order or contradicts:\n%s", ways[0].name, way.name, there.Facts, diff)
		}
		if there.Learn(other) || there.Learn(first) {
			t.Errorf("learning %s and %s again tells something new", ways[0].name, way.name)
		}
	}
}

// pick is one of several, by chance.
func pick(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }

func TestTellingsOfARefund(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		status := pick(r, "succeeded", "failed", "canceled")
		amount, refunded := r.Int64N(1e9)+1, int64(0)
		if status == "succeeded" {
			refunded = amount
		}
		currency := pick(r, "usd", "jpy", "kwd")
		whole := fmt.Sprintf(`{"id":"re_x","object":"refund","amount":%d,"charge":"ch_x","currency":%q,"payment_intent":"pi_x","status":%q}`, amount, currency, status)
		expanded := fmt.Sprintf(`{"id":"re_x","amount":%d,"charge":{"id":"ch_x","payment_intent":"pi_x"},"currency":%q,"status":%q}`, amount, currency, status)
		bare := fmt.Sprintf(`{"id":"re_x","amount":%d,"currency":%q,"status":%q}`, amount, currency, status)
		charge := fmt.Sprintf(`{"id":"ch_x","object":"charge","amount_refunded":%d,"currency":%q,"payment_intent":"pi_x"`, refunded, currency)
		agree(t, []telling{
			{name: "refund.updated", event: snapshot("refund.updated", whole)},
			{name: "refund.failed", event: snapshot("refund.failed", whole)},
			{name: "charge.refund.updated with everything expanded", event: snapshot("charge.refund.updated", expanded)},
			{name: "charge.refunded with the list", event: snapshot("charge.refunded", charge+`,"refunds":{"data":[`+bare+`]}}`)},
			{name: "charge.refunded without the list", event: snapshot("charge.refunded", charge+"}"), answers: map[string]string{"GET /v1/refunds": `{"data":[` + whole + `]}`}},
			{name: "the API", event: thinEvent("refund.updated", "refund", "re_x"), answers: map[string]string{"GET /v1/refunds/re_x": whole}},
			{name: "a refund without its status, and the API", event: snapshot("refund.created", `{"id":"re_x"}`), answers: map[string]string{"GET /v1/refunds/re_x": whole}},
		})
	}
}

func TestTellingsOfADispute(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		status := pick(r, "won", "lost", "prevented", "warning_closed", "charge_refunded")
		amount, currency := r.Int64N(1e9)+1, pick(r, "usd", "jpy", "kwd")
		whole := fmt.Sprintf(`{"id":"dp_x","object":"dispute","amount":%d,"charge":"ch_x","currency":%q,"payment_intent":"pi_x","status":%q}`, amount, currency, status)
		expanded := fmt.Sprintf(`{"id":"dp_x","amount":%d,"charge":{"id":"ch_x","payment_intent":"pi_x"},"currency":%q,"status":%q}`, amount, currency, status)
		agree(t, []telling{
			{name: "charge.dispute.closed", event: snapshot("charge.dispute.closed", whole)},
			{name: "charge.dispute.created", event: snapshot("charge.dispute.created", whole)},
			{name: "charge.dispute.funds_reinstated", event: snapshot("charge.dispute.funds_reinstated", expanded)},
			{name: "the API", event: thinEvent("charge.dispute.closed", "dispute", "dp_x"), answers: map[string]string{"GET /v1/disputes/dp_x": whole}},
		})
	}
}

func TestTellingsOfAnInvoice(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		amount, end := r.Int64N(1e9)+1, 1700000000+r.Int64N(1e9)
		old := fmt.Sprintf(`{"id":"in_x","amount_paid":%d,"currency":"usd","status":"paid","subscription":"sub_x","payment_intent":"pi_x",
			"lines":{"data":[{"amount":%d,"type":"subscription","subscription":"sub_x","period":{"end":%d}}]}`, amount, amount, end)
		basil := fmt.Sprintf(`{"id":"in_x","amount_paid":%d,"currency":"usd","status":"paid","parent":{"type":"subscription_details","subscription_details":{"subscription":"sub_x"}},
			"lines":{"has_more":false,"data":[{"amount":%d,"parent":{"type":"subscription_item_details","subscription_item_details":{"subscription":"sub_x"}},"period":{"end":%d}}]}`, amount, amount, end)
		asked := map[string]string{"GET /v1/invoices/in_x": basil + `,"payments":{"data":[{"status":"paid","payment":{"type":"payment_intent","payment_intent":"pi_x"}}]}}`}
		agree(t, []telling{
			{name: "invoice.paid of 2020", event: snapshot("invoice.paid", old+"}")},
			{name: "invoice.payment_succeeded of 2020", event: snapshot("invoice.payment_succeeded", old+"}")},
			{name: "invoice.paid of 2019 with its charge", event: snapshot("invoice.paid", old+`,"charge":"ch_x"}`), atLeast: true},
			{name: "invoice.paid of 2025", event: snapshot("invoice.paid", basil+"}"), answers: asked},
			{name: "invoice_payment.paid", event: snapshot("invoice_payment.paid", `{"id":"inpay_x","invoice":"in_x"}`), answers: asked},
			{name: "the API", event: thinEvent("invoice.paid", "invoice", "in_x"), answers: asked},
		})
	}
}

func TestTellingsOfASubscription(t *testing.T) {
	t.Parallel()
	const ended = `{"id":"sub_x","object":"subscription","status":"canceled","cancel_at_period_end":true,"canceled_at":1600000000,"ended_at":1700000000`
	agree(t, []telling{
		{name: "customer.subscription.deleted of 2020", event: snapshot("customer.subscription.deleted", ended+`,"current_period_end":1700000000}`)},
		{name: "customer.subscription.deleted of 2025", event: snapshot("customer.subscription.deleted", ended+`,"items":{"data":[{"current_period_end":1700000000}]}}`)},
		{name: "the API", event: thinEvent("customer.subscription.deleted", "subscription", "sub_x"), answers: map[string]string{"GET /v1/subscriptions/sub_x": ended + "}"}},
	})
}
