"""Reading back: payments, top-ups and webhooks, and the tables that are published of them."""
