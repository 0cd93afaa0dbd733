package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

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
// refusal: whatever fits here was still not proved.
func (i *Intake) diagnose(source provider.Source, d provider.Delivery) (reason provider.Reason, more string) {
	for _, variant := range variantsOf(d.Body) {
		if fits(source, d, variant.body) {
			return provider.ReasonAltered, " It looks as if " + variant.change + "."
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

type variant struct {
	change string // what would have made the true body into the one that came
	body   []byte
}

// variantsMax is the largest body that is tried on; each variant costs another look at all of it.
const variantsMax = 256 << 10

// variantsOf undoes what proxies, frameworks and editors do to bodies.
func variantsOf(body []byte) []variant {
	if len(body) > variantsMax {
		return nil
	}
	var all []variant
	add := func(change string, b []byte) {
		if !bytes.Equal(b, body) {
			all = append(all, variant{change, b})
		}
	}
	add("a line break was added at the end", bytes.TrimRight(body, "\r\n"))
	add("a line break was taken from the end", append(bytes.Clone(body), '\n'))
	add("line breaks were changed from LF to CRLF", bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")))
	add("line breaks were changed from CRLF to LF", bytes.ReplaceAll(body, []byte("\n"), []byte("\r\n")))
	add("a byte order mark was added", bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if json.Valid(body) {
		var compact, two, four bytes.Buffer
		if json.Compact(&compact, body) == nil && json.Indent(&two, body, "", "  ") == nil && json.Indent(&four, body, "", "    ") == nil {
			add("the JSON was indented", compact.Bytes())
			add("the JSON was written anew", two.Bytes())
			add("the JSON was written anew", four.Bytes())
		}
	}
	return all
}
