"""Notices to people: what they want to hear of, each once, by Apprise.

What belongs here: which facts are notable (`due`, `spikes`: pure), what was said already
(`record`), and saying it (`sending`). What does not: billing anything, or waiting for a notice to
arrive: what cannot be delivered now is due again at the next look.
"""
