"""If-Match: which version a request means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import StaleVersionError, VersionRequiredError
from service.tasks.versions import check, etag


@given(st.integers(min_value=1))
def test_the_tag_of_a_version_matches_it(version: int) -> None:
    check(etag(version), version, required=True)


@pytest.mark.parametrize("if_match", ["*", ' "3" ', '"1", "3"', '"1","3"'])
def test_a_request_that_means_the_version_passes(if_match: str) -> None:
    check(if_match, 3, required=True)


@pytest.mark.parametrize(
    "if_match",
    [
        pytest.param('"2"', id="another version"),
        pytest.param('W/"3"', id="a weak tag"),
        pytest.param("3", id="no tag"),
        pytest.param("", id="nothing"),
        pytest.param('"03"', id="almost the tag"),
    ],
)
def test_a_request_that_means_another_version_is_stale(if_match: str) -> None:
    with pytest.raises(StaleVersionError):
        check(if_match, 3, required=False)


def test_a_version_can_be_required() -> None:
    check(None, 3, required=False)

    with pytest.raises(VersionRequiredError):
        check(None, 3, required=True)
