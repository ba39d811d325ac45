"""The flags written down, one table for each part of the world."""
