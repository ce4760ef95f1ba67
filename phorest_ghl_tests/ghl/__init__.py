"""Tests of phorest_ghl.ghl."""
