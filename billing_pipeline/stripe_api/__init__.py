"""The client for Stripe's API, with its rate limits and retries; only it imports Stripe's SDK."""
