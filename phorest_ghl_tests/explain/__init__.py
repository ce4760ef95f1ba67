"""Tests of phorest_ghl.explain."""
