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
// The life of an incident is the second walk; its words are added here when it is built.
package makegood
