"""What Dagster shows and runs, by system. Thin: every decision is in the domain code that it calls."""
