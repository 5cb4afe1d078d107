"""The sandbox and a Stripe account side by side: `make stripe-test`."""
