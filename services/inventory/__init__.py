"""Stock and what is promised of it."""
