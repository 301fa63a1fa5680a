"""Changesets for web frameworks and task queues. Each module needs the framework that it names."""
