"""Sending: every request that changes something in Stripe."""
