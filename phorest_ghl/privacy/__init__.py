"""Forgetting a person: everywhere, for good, with a proof that names nobody (safety S21)."""
