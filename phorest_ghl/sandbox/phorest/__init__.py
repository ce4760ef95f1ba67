"""Phorest's third-party API as facts/phorest-api describes it."""
