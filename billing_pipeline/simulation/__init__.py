"""What another price book, or another plan for some subscriptions, would have charged.

What belongs here: the two sides of a comparison, rating them in scratch places, and what comes of
it. What does not: the rules (the same dbt models rate both sides), pages (``documents``).
"""
