"""A browser for the tests of pages."""

import pytest

from tests.evaluation.reports.browser import Opened, browser


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture
def opened(chromium):
    """Open pages; at the end none of them has complained or asked for anything."""
    pages = []

    def open_page(path, **options):
        pages.append(Opened(chromium, path, **options))
        return pages[-1]

    yield open_page
    for one in pages:
        assert one.faults == [] and one.outside() == []
        one.context.close()
