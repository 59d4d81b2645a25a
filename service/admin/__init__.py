"""What only an admin may do."""
