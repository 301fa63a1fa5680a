"""Changesets, pages and checks within a framework. Each module needs the one that it names."""
