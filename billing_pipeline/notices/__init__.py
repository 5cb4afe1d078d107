"""Notices to people, sent by Apprise, each once.

What belongs here: deriving the notices that are due (`due`, `spikes`: pure), recording the ones
that were sent (`record`), and sending (`sending`). What does not: billing. Nothing waits for a
notice to arrive: if one cannot be delivered now, it is due again the next time.
"""
