"""Whether GHL holds what Phorest says, record by record; what does not is found, and mended where it is ours to mend."""
