"""The sample company: everything that `data/generate.py` writes, as pure functions of a seed.

What belongs here: the sample's price book, customers, usage and its flaws. What does not:
anything of the pipeline, which must not know that this sample exists; the examples, which are
written by hand.
"""
