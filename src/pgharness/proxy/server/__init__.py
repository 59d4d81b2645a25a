"""The proxy's process: sockets around the core."""
