"""The salon's staff."""
