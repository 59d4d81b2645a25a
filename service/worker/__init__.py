"""The worker: a process beside the service that does what no request should wait for."""
