"""Tests of `phorest_ghl.audit`."""
