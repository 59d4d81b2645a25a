"""What holds for the unit tier."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A timing passes or fails nothing: machines are shared and slow at times.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
