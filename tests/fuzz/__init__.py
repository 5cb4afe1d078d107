"""Whatever comes in is read, or refused by name: made-up damage to inputs, settings, webhooks and
Stripe's answers."""
