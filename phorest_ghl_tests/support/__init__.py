"""What tests lean on that is neither a test nor a fixture."""
