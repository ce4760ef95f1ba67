"""Tests of `phorest_ghl.http`."""
