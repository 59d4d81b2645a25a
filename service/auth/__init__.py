"""Signing in: passwords, access tokens, and who the current user is."""
