"""Tests of phorest_ghl: e2e."""
