"""The command line: a module for each command, or for a few that share their code.

A command reads its arguments, calls one function of another package, and prints what it returns.
``cli`` finds the command and decides how it ends. ``execution`` runs a Dagster job in this process.
"""
