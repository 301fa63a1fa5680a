"""Whether a history can be relied on, and what follows from it: proofs, retention, feeds."""
