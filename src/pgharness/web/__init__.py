"""The application under test: found, its lifespan run, and served, in this process."""
