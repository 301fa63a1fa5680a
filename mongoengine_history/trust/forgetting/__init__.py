"""What is forgotten on purpose, so that the rest is still proven."""
