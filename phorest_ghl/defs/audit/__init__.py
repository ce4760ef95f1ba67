"""The audit in Dagster: a check for each invariant."""
