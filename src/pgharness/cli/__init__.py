"""The ``pgharness`` command."""
