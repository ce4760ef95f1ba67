"""Tests of phorest_ghl.db."""
