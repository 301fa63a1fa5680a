"""The way back: what was, put onto live documents."""
