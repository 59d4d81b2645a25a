"""Where PostgreSQL comes from: a container, binaries on this machine, or a server somebody else runs."""
