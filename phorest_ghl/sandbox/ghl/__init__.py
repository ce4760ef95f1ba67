"""GoHighLevel's API, v2 dates and v3, as facts/ghl-api and the vendor's specs describe it."""
