"""The embedded Stripe: behaves as Stripe does for what this project uses, offline.

What belongs here: the stand-in and nothing that knows of our invoices. What does not: talking to
Stripe (`stripe_api/client.py`). It refuses what it does not support, and never ignores it.
"""

from billing_pipeline.stripe_sandbox.engine import Rates, Sandbox
from billing_pipeline.stripe_sandbox.server import running_sandbox, serving

__all__ = ["Rates", "Sandbox", "running_sandbox", "serving"]
