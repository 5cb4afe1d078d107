"""The invoice plan, by pure functions: what should be billed and what Stripe holds, compared."""
