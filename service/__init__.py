"""A task board API for small teams: the reference service that pgharness is shown on."""
