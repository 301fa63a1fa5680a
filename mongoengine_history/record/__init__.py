"""A change becomes a numbered revision, and is read again. Only here is the history named."""
