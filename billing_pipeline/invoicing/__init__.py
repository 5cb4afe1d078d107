"""From our invoices to Stripe's and back: refresh, plan, approve, apply, pull."""
