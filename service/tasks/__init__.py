"""Tasks, each owned by one user."""
