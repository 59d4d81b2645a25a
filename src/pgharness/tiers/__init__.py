"""Which tier a test belongs to, and what it may touch there."""

from pgharness.tiers.tier import Tier, tier_of

__all__ = ["Tier", "tier_of"]
