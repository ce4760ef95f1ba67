"""Benchmarks: the product beside its peers, on this machine, over loopback only. Run by `phorest-ghl bench NAME`.

Belongs here: what is measured and how. Does not: the product's own code, tests, thresholds on single timings.

Every figure is a median of interleaved rounds, and every claim a ratio of one run, since the machine is whatever it is.
"""
