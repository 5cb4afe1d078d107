"""The thin Dagster shell: an asset reads, calls one function, and says what it did."""

import warnings

import dagster as dg

# One run a month in a backfill is what all assets ask for; Dagster warns that it may rename that.
warnings.filterwarnings("ignore", message=".*backfill_policy.*", category=dg.BetaWarning)
