"""Test FastAPI services on real PostgreSQL."""
