"""Tests of phorest_ghl.operate."""
