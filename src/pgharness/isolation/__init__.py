"""How a test's changes are undone."""
