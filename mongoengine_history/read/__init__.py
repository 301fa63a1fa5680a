"""What was, for users. Writes nothing but what a write in doubt has done."""
