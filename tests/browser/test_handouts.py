"""The page to print, as it comes out of a printer."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

PAGE = Path(__file__).parents[2] / "handouts" / "to_print.html"


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_it_fits_on_one_sheet(browser: Browser, paper: str) -> None:
    with browser.new_page() as tab:
        tab.goto(PAGE.as_uri())
        pdf = tab.pdf(format=paper, prefer_css_page_size=False)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
