"""Assets of the Phorest side: what is imported."""
