"""The thin Dagster shell: an asset reads, calls one function, and says what it did."""

import warnings

import dagster as dg

# All assets ask for one run a month in a backfill; Dagster warns that this option may change.
warnings.filterwarnings("ignore", message=".*backfill_policy.*", category=dg.BetaWarning)
# A check's result belongs to its month: without partitions a good February hides a bad January.
# Dagster calls that a preview; the version is pinned, and the tests run such checks.
warnings.filterwarnings("ignore", message=".*partitions_def on an AssetCheckSpec.*")
