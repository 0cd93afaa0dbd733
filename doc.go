// Package makegood is the trade: the words of an order that must be made good, and the rules by which it is.
//
// It does no input or output, reads no clock and draws no randomness; everything it needs is handed in. Read it first,
// then follow one of the two walks through the rest of the house.
//
// The life of a webhook (docs/life-of-a-webhook.md):
//
//	Delivery → Event → Fact → [Order.Learn] → [Order.Settle] → License, StockMove, Step → Receipt
//
// A provider's delivery is proved and kept by package intake; package interpret turns it into facts and lets the order
// learn them; package fulfill gives what is owed; package store remembers all of it. State is a function of the set of
// facts, and what is owed is a function of state minus receipts. Every trigger (webhook, retry, success page, operator)
// ends in the same call, so none of them holds a claim that another could not repair.
//
// The life of an incident (docs/life-of-an-incident.md):
//
//	Check → Finding → [OpenIncident] → Notice → somebody's answer → [Incident.Resolve]
//	                        └→ [HealStanding.Admit] → HealAttempt → verified, or taken back
//
// Package monitor looks at what a Check names until it is sure, and says what it finds as a [Finding], again and again, because
// a finding is how things are and no event. Package watch keeps it as an [Incident]: who is told, by which rung of the
// [Escalation], and when next are functions of the incident, committed with the notices that they ask for. Package notify
// carries each [Notice] until a channel has taken it. What ends is told to everybody who was told of its beginning.
//
// Package heal may mend what an incident is about. A [HealAttempt] is written down before anything is changed, and is lock,
// limit and cooldown in one; [HealStanding.Admit] is the rule that lets it begin, a [Brake] is how people keep it from beginning,
// and a [HealRefusal] says why nothing is done. A fault is named by evidence and mended by the one remedy that is known for
// it; whatever else it is, people are told already.
//
// Server and watcher walk it alike, each with a record of its own, and tell each other in a [PeerBeat] that they are there.
package makegood
