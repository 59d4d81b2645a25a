"""People: registration, the team directory, one's own account."""
