"""One run of pytest: its controller, its workers, and the tests that use a database."""
