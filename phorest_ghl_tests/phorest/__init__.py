"""Tests of phorest_ghl.phorest."""
