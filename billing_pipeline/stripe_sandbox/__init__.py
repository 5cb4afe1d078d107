"""An embedded Stripe: offline, it behaves like Stripe for the calls that this project makes.

It refuses everything that it does not support instead of ignoring it. What belongs here: Stripe's
side only; nothing here knows about our invoices. What does not: the client in `stripe_api`.
"""

from billing_pipeline.stripe_sandbox.engine import Rates, Sandbox
from billing_pipeline.stripe_sandbox.server import running_sandbox, serving

__all__ = ["Rates", "Sandbox", "running_sandbox", "serving"]
