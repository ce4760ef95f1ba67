"""Identity, projection, plan, apply, journal: the one road from local rows to GHL."""
