"""Assets of the GHL side: what is synced."""
