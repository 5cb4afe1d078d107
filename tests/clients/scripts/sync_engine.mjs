// Supabase's engine fills PostgreSQL from the account; then its tables are read: one line of JSON
// for each row.
import { createRequire } from "node:module";
import pg from "pg";
import Stripe from "stripe";

// Its other form does not find its own migrations.
const require = createRequire(import.meta.url);
const { StripeSync, runMigrations } = require("@supabase/stripe-sync-engine");

const [, , , base, key, databaseUrl] = process.argv;
const logger = { info: () => {}, error: (...what) => console.error(...what) };
await runMigrations({ databaseUrl, schema: "stripe", logger });
const sync = new StripeSync({
  databaseUrl,
  schema: "stripe",
  stripeSecretKey: key,
  stripeWebhookSecret: "whsec_none",
  backfillRelatedEntities: false,
  autoExpandLists: true,
});
const { hostname, port } = new URL(base);
sync.stripe = new Stripe(key, { host: hostname, port, protocol: "http" });
await sync.syncBackfill({ object: "all" });
await sync.close();

const tables = {
  charges: "amount",
  credit_notes: "total",
  customers: "balance",
  invoices: "total",
  payment_intents: "amount",
  products: "null",
  refunds: "amount",
};
const client = new pg.Client({ connectionString: databaseUrl });
await client.connect();
for (const [table, amount] of Object.entries(tables)) {
  const { rows } = await client.query(`select *, ${amount} as amount_of_row from stripe.${table}`);
  for (const row of rows) {
    const ours = Boolean(row.metadata?.billing_invoice_id);
    const { id, object: kind, currency, amount_of_row } = row;
    console.log(JSON.stringify({ kind, id, currency, amount: amount_of_row, ours }));
  }
}
await client.end();
