"""From our invoices to Stripe's and back: refresh, plan, approve, apply, pull.

``steps``, ``payments`` and ``prepaid`` are what jobs and commands call. ``plan`` decides and is
pure; ``stripe_state`` is what Stripe holds; ``push`` sends; ``pull`` reads back; ``records`` is
what must be backed up.
"""
