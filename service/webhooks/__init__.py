"""Webhooks: who is told of changes, what they are told, and how it gets there."""
