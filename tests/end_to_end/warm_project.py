"""Imported by the process that is forked (warm.py): the project's own modules.

What belongs here: importing what `billing run` imports. What does not: when a process has to import
them anew.
"""

import gc
from importlib import import_module
from pkgutil import iter_modules

from billing_pipeline import commands
from billing_pipeline.rating.dbt_runner import installed_manifest

# Without it the definitions parse dbt's project into a home, which a process has of its own.
if installed_manifest():
    import_module("billing_pipeline.definitions")
    import_module("billing_pipeline.stripe_sandbox")
    for module in iter_modules(commands.__path__, "billing_pipeline.commands."):
        import_module(module.name)

# What every command begins with is not looked through for garbage in each of them.
gc.collect()
gc.freeze()
