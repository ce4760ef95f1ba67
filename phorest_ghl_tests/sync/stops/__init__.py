"""Tests of what stops an apply."""
