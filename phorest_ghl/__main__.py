"""`python -m phorest_ghl` is `phorest-ghl`."""

from phorest_ghl.cli import main

main()
