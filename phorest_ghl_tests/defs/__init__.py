"""Tests of phorest_ghl: defs."""
