package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
)

// refuse counts a delivery that was not proved and says why, without the signature. A source that could not find out (a
// certificate that cannot be fetched just now) refuses nothing: the error is its own, and the provider delivers again.
func (i *Intake) refuse(source provider.Source, d provider.Delivery, err error) error {
	var s *provider.SignatureError
	if !errors.As(err, &s) {
		i.deliveries.With(source.Name(), "failed").Inc()
		return fmt.Errorf("prove a delivery of %s: %w", source.Name(), err)
	}
	reason, more := s.Reason, ""
	if reason == provider.ReasonMismatch {
		reason, more = i.diagnose(source, d)
	}
	i.refusals.With(source.Name(), string(reason)).Inc()
	i.tallies[source.Name()].count(reason)
	log := i.Log.Warn
	if reason == provider.ReasonTwoBodies {
		log = i.Log.Error // somebody holds a genuine signature and puts another body under it
	}
	log("delivery is not proved", "source", source.Name(), "reason", reason, "more", more, "err", err)
	return makegood.Wrap(err, makegood.BadSignature, sentences[reason]+more)
}

// sentences tell the operator, who sees them in the provider's dashboard, what to look at.
var sentences = map[provider.Reason]string{
	provider.ReasonMissing:   "The delivery has no signature. Is it really the provider who calls this address?",
	provider.ReasonMalformed: "The signature header cannot be read. Does something between the provider and here change headers?",
	provider.ReasonMismatch: "The signature was made with none of the configured secrets, or the body was changed on its way. " +
		"Compare the endpoint's signing secret with the configured one.",
	provider.ReasonTooOld: "The signature is genuine but too old. Is this a replay, or is this server's clock fast?",
	provider.ReasonFuture: "The signature is genuine but from the future. This server's clock is slow.",
	provider.ReasonRetired: "The signature was made with a secret whose not_after has passed. The provider still signs with the " +
		"old secret: finish the rotation there, or move not_after.",
	provider.ReasonAltered: "The signature is genuine, but something between the provider and here changes the body. " +
		"Let the proxy pass the bytes as they are.",
	provider.ReasonOtherSource: "The signature was made with the secret of another source. Is the endpoint's address or its mode the wrong one?",
	provider.ReasonTwoBodies: "This transmission came before with another body. Somebody who saw one delivery may be forging another; " +
		"nothing of it was kept.",
}

// diagnose finds out why a signature matches nothing, by trying on what usually goes wrong. It changes nothing about the
// refusal: whatever fits here was still not proved. Anybody can ask for it, so it is done for one delivery at a time, and
// for whoever comes meanwhile not at all.
func (i *Intake) diagnose(source provider.Source, d provider.Delivery) (reason provider.Reason, more string) {
	if !i.diagnosing.TryLock() {
		return provider.ReasonMismatch, ""
	}
	defer i.diagnosing.Unlock()
	for change, body := range variantsOf(d.Body) {
		if fits(source, d, body) {
			return provider.ReasonAltered, " It looks as if " + change + "."
		}
	}
	for name, other := range i.Sources {
		if name != source.Name() && fits(other, d, d.Body) {
			return provider.ReasonOtherSource, fmt.Sprintf(" The secret is that of source %s.", name)
		}
	}
	return provider.ReasonMismatch, ""
}

// fits reports whether the signature would prove this body, be it too old or retired.
func fits(source provider.Source, d provider.Delivery, body []byte) bool {
	d.Body = body
	_, err := source.Verify(d)
	var s *provider.SignatureError
	return err == nil || errors.As(err, &s) && (s.Reason == provider.ReasonTooOld || s.Reason == provider.ReasonFuture || s.Reason == provider.ReasonRetired)
}

const (
	// variantsMax is the largest body that is tried on; each variant costs another look at all of it.
	variantsMax = 256 << 10
	// variantDepthMax is how deep the JSON may be nested that is written anew: each level indents every line below it.
	variantDepthMax = 32
)

// variantsOf undoes, one after the other, what proxies, frameworks and editors do to bodies. It yields what would have
// made the true body into the one that came, and the true body.
func variantsOf(body []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		if len(body) > variantsMax {
			return
		}
		for _, undo := range undoings {
			if b := undo.do(body); b != nil && !bytes.Equal(b, body) && !yield(undo.change, b) {
				return
			}
		}
	}
}

// undoings are the usual changes, each with its way back; nil is none.
var undoings = []struct {
	change string
	do     func([]byte) []byte
}{
	{"a line break was added at the end", func(b []byte) []byte { return bytes.TrimRight(b, "\r\n") }},
	{"a line break was taken from the end", func(b []byte) []byte { return append(bytes.Clone(b), '\n') }},
	{"line breaks were changed from LF to CRLF", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")) }},
	{"line breaks were changed from CRLF to LF", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) }},
	{"a byte order mark was added", func(b []byte) []byte { return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) }},
	{"the JSON was indented", func(b []byte) []byte { return rewritten(b, json.Compact) }},
	{"the JSON was written anew", func(b []byte) []byte { return rewritten(b, indentBy("  ")) }},
	{"the JSON was written anew", func(b []byte) []byte { return rewritten(b, indentBy("    ")) }},
}

func indentBy(indent string) func(*bytes.Buffer, []byte) error {
	return func(dst *bytes.Buffer, src []byte) error { return json.Indent(dst, src, "", indent) }
}

// rewritten writes JSON anew, or returns nil for what is none or is nested so deep that indenting would swell it.
func rewritten(body []byte, write func(*bytes.Buffer, []byte) error) []byte {
	depth, deepest := 0, 0
	for _, c := range body {
		switch c {
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
	}
	var b bytes.Buffer
	if deepest > variantDepthMax || write(&b, body) != nil {
		return nil
	}
	return b.Bytes()
}
