"""What was, for users: one document, or a whole class. Writes nothing."""
