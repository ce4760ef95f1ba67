"""Tests of phorest_ghl: commands."""
