"""Tests of phorest_ghl; the folders mirror the package."""
