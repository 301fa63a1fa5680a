"""What `python -m mongoengine_history demo` shows: an order, or revisions from a file."""
