package harness

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// TestLifeOfAWebhook walks docs/life-of-a-webhook.md: every function it names stands in the file it links to, and one
// paid order leaves the traces that it says, on both engines.
func TestLifeOfAWebhook(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/life-of-a-webhook.md")
	if err != nil {
		t.Fatal(err)
	}
	steps := regexp.MustCompile("\\| (\\d+) \\| \\[`[a-z]+\\.(\\w+)`\\]\\(([^)]+)\\)").FindAllStringSubmatch(string(page), -1)
	if len(steps) != 12 {
		t.Errorf("the table has %d steps that could be read, want 12", len(steps))
	}
	for _, step := range steps {
		if !declares(t, filepath.Join("../../docs", step[3]), step[2]) {
			t.Errorf("step %s names %s, which is not in %s", step[1], step[2], step[3])
		}
	}
	storetest.Each(t, walk)
}

func declares(t *testing.T, file, name string) bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == name {
			return true
		}
	}
	return false
}

func walk(t *testing.T, url string) {
	w := Start(t, demo.Options{Database: url, Retry: Quick()})
	session := w.Pay("az-900", 1, "ann@example.com")                               // 1 to 3
	o := w.ExpectOrder(session, makegood.Fulfilled)                                // 5 to 12
	events, err := w.Store().Events(t.Context(), store.EventFilter{OrderID: o.ID}) // 4
	if err != nil || len(events) != 1 || events[0].State != makegood.EventHandled || events[0].VerifiedBy == "" {
		t.Errorf("events of the order = %+v, %v, want one, handled, with the secret that proved it", events, err)
	}
	if len(o.Licenses) != 1 || len(o.Facts) != 1 || o.Facts[0].EventID != events[0].ID { // 7 to 9
		t.Errorf("order has %d licences and the facts %+v", len(o.Licenses), o.Facts)
	}
	mail := w.ExpectMail("ann@example.com", o.Licenses[0].Key) // 10, 11
	step := o.Step(makegood.EffectEmail)                       // 12
	if step == nil || step.State != makegood.StepDone || step.Receipt != mail.ID || step.IntentAt.After(step.DoneAt) {
		t.Errorf("step = %+v, want done with the receipt %s", step, mail.ID)
	}
	kept, err := w.Store().Outgoing(t.Context(), o.ID, makegood.EffectEmail)
	if err != nil || !strings.Contains(string(kept), mail.IdempotencyKey) {
		t.Errorf("the kept mail = %d bytes, %v, want the one that was sent", len(kept), err)
	}
	entries, err := w.Store().AuditOf(t.Context(), o.ID)
	if err != nil || len(entries) < 5 || entries[len(entries)-1].After != string(makegood.Fulfilled) {
		t.Errorf("audit = %+v, %v, want the whole way to fulfilled", entries, err)
	}
	w.ExpectNothingElse()
}
