"""Stripe: the client, its limits and retries, and the embedded sandbox. Nothing else imports it."""
