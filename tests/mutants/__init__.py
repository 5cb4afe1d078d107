"""Wrong changes, made on purpose: each must make a test fail, or the suite proves too little.

`python -m tests.mutants` makes them one at a time in a copy of the project. A list of them is a
module of this folder with a tuple `MUTANTS`.
"""
