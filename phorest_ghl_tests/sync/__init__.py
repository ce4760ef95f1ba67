"""Tests of phorest_ghl.sync."""
