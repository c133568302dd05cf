"""Who may see the page: the browser that opens the printed address first, and nobody else."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from tests.ui.serving import served

pytest.importorskip("litestar")


def test_the_address_is_good_once_and_the_cookie_after_it(tmp_path: Path) -> None:
    with served(f"sqlite:///{tmp_path}/journal.db") as page, httpx.Client() as browser, httpx.Client() as other:
        for path in ("", "api/v1/runs", "app.js", "?token=wrong", "?token="):
            refused = other.get(page.root + path)
            assert (refused.status_code, refused.headers["content-type"]) == (403, "text/plain; charset=utf-8")
            assert "printed address" in refused.text

        let_in = browser.get(page.address)
        assert (let_in.status_code, let_in.headers["location"]) == (303, "/")
        cookie = let_in.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert other.get(page.address).status_code == 403

        home = browser.get(page.root)
        assert home.status_code == 200
        assert "default-src 'none'; script-src 'self'" in home.headers["content-security-policy"]
        assert "<script>" not in home.text
        assert browser.get(page.root + "api/v1/runs").json() == {"runs": [], "next": None}
        for file in ("app.js", "app.css"):
            assert browser.get(page.root + file).status_code == 200
        other.cookies.set("weftrun", "no")
        assert other.get(page.root).status_code == 403
