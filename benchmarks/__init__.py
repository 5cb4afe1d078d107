"""How fast the pipeline is, measured beside what it is compared with: ``make bench``."""
