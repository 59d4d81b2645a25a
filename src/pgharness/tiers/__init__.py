"""Which tier a test belongs to, and what it may touch there."""

from pgharness.tiers.tier import TIERS, Tier, tier_of

__all__ = ["TIERS", "Tier", "tier_of"]
