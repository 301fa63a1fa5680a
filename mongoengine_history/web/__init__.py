"""The history browser: pages on which people look at histories, and lead documents back."""
