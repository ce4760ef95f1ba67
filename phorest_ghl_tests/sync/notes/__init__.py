"""Check-in notes."""
