"""What Stripe holds, read by listing and by events, and our cache of it."""
