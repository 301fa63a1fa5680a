"""Sees every write where it is sent: of classes, of single documents, by queries."""
