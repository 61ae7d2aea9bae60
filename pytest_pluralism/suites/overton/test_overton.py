"""Responses hold more reasonable answers to their own query than a refusal does, and more than to other queries."""

import pytest


@pytest.mark.overton_coverage("contested", better_than="refusal")
def test_holds_more_than_a_refusal() -> None:
    """The marker is the promise."""


@pytest.mark.overton_coverage("contested", better_than="shuffled")
def test_holds_more_of_its_own_query_than_of_others() -> None:
    """The marker is the promise."""
