"""Forgetting people, and what the program writes of them."""
