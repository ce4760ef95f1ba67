"""phorest_ghl: keeps Phorest and GoHighLevel true to each other."""
