"""What an operator asks and does between runs: how it goes, pausing, trying again, what the log says.

Belongs here: reading our own tables, and the switches. Does not: any step of a run (`sync`), Dagster's schedules
(`phorest_ghl.commands.schedules`), alerts.
"""
