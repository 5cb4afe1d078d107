"""Real clients of Stripe against the sandbox: they sync the demo's account (`make clients`)."""
