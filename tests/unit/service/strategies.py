"""What several property tests draw from: of one number each, which costs a tenth of a date's parts."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st

_FIRST = datetime.min.replace(tzinfo=UTC)
_SPAN = datetime.max.replace(tzinfo=UTC) - _FIRST

MOMENTS = st.integers(0, _SPAN // timedelta(microseconds=1)).map(
    lambda microseconds: _FIRST + timedelta(microseconds=microseconds)
)
"""Every time there is, in UTC."""

OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
"""As RFC 3339 writes them."""
