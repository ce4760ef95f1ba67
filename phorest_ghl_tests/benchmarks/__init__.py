"""Benchmarks run and report; what they measure is never asserted, since it depends on the machine."""
