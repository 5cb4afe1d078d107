// All that the account holds, read with Stripe's SDK for Node: one line of JSON for each object.
import Stripe from "stripe";

const [, , , base, key] = process.argv;
const { hostname, port } = new URL(base);
const stripe = new Stripe(key, { host: hostname, port, protocol: "http" });
const lists = [
  stripe.balanceTransactions,
  stripe.charges,
  stripe.creditNotes,
  stripe.customers,
  stripe.events,
  stripe.invoices,
  stripe.paymentIntents,
  stripe.products,
  stripe.refunds,
];
for (const of of lists) {
  for await (const item of of.list({ limit: 100 })) {
    const { id, object: kind, currency, metadata } = item;
    const amount = item.total ?? item.amount;
    const ours = Boolean(metadata?.billing_invoice_id);
    console.log(JSON.stringify({ kind, id, currency, amount, ours }));
  }
}
