"""The salon's staff: who of the rows in Phorest is a human, and which user of GHL each is."""
