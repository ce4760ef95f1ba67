"""Tests of the checkup."""
