// Package simulate is a small pretend outside world: a Stripe that remembers and delivers, a Resend that remembers and
// never sends, and a Sentry that shows what would be told to it. The demo, the drills, the tests and the benchmarks all
// use the same one, and the official stripe-go client is pointed at it in tests to keep it honest.
//
// All are http.Handlers, so they are served by a real listener (demo, drills) or called directly through [Transport]
// (tests in a synctest bubble). Each has a second door besides its HTTP API: methods that play the customer, the bank and
// the dashboard ([Stripe.Pay], [Stripe.Refund], [Stripe.Dispute], [Stripe.Renew]), and methods that make the world misbehave
// ([Stripe.SetFaults], [Resend.SetFaults], [Sentry.SetFaults]).
//
// The services that carry alerts (ntfy, Slack, Twilio, GitHub issues, PagerDuty, Telegram, Discord and a listener of the
// owner's) are smaller: they check what they are sent, remember it, answer and refuse in the words of the real ones, and
// de-duplicate where those do. [Channels] serves all of them under prefixes.
//
// [Actions] is a GitHub with one workflow that mends something, and a [Box] a machine that supervises one program: places that
// the healer mends in drills.
//
// Stored times come from the Now of the options; waiting (retries, latency) is plain time, so that a synctest bubble can
// move it.
package simulate
