"""A page as four pictures, packed so small that all of them can lie in the repository."""

import io
import re
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from tests.e2e.screens import stage
from tests.e2e.screens.stage import DESK, PHONE, People, Size

TARGET = Path(__file__).resolve().parents[3] / "docs" / "screens"
THEMES = ("light", "dark")
TALLEST = {DESK.width: 1_400, PHONE.width: 1_600}  # of a long page the beginning
QUALITY, LEAST_QUALITY = 82, 46
MOST_BYTES = 110_000
SETTLED_MS, REDRAWN_MS = 900, 350  # players show their first frame, charts are drawn and drawn anew


def named(address: str) -> str:
    """An address as the name of a picture: `/operate/lanes/?edit=clips-plus` is `operate-lanes-edit`."""
    path, _, query = address.partition("?")
    keys = [part.partition("=")[0] for part in query.split("&") if part]
    words = [word for word in path.strip("/").split("/") if word] or ["studio"]
    return re.sub(r"[^a-z0-9-]+", "-", "-".join([*words, *keys]).lower())


def of_address(page: Page, address: str, name: str, only: str = "") -> None:
    if only in name:
        page.set_viewport_size(DESK.viewport)
        page.goto(address)
        of_page(page, name)


def of_page(page: Page, name: str) -> None:
    """What is open now, in both themes, at the desk and on a phone; the same address is not asked for again."""
    page.wait_for_load_state("load")
    for size in (DESK, PHONE):
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(size.viewport)
        page.wait_for_timeout(SETTLED_MS)
        fit(page, size)
        for theme in THEMES:
            page.emulate_media(color_scheme=theme)
            page.wait_for_timeout(REDRAWN_MS)
            keep(page.screenshot(), f"{name}-{theme}-{size.width}")


def fit(page: Page, size: Size) -> None:
    """Make the window as high as the page, within bounds, so that nothing fixed lies over the middle of it."""
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size(
        {"width": size.width, "height": max(size.height, min(height, TALLEST[size.width]))}
    )


def of_first_row(page: Page, listed: str, rows: str, name: str, only: str = "") -> None:
    """The page behind the first row of a list; a list that is empty or isn't there has none."""
    if only not in name:
        return
    page.set_viewport_size(DESK.viewport)
    response = page.goto(listed)
    row = page.locator(rows).first
    if response.ok and row.count():
        of_address(page, row.get_attribute("href"), name)


def of_the_palette(page: Page, only: str = "") -> None:
    if only not in "palette":
        return
    page.set_viewport_size(DESK.viewport)
    page.goto("/usage/")
    page.keyboard.press("Control+k")
    page.get_by_role("option").first.wait_for()
    of_page(page, "palette")


def of_a_clip_being_made(people: People, only: str = "") -> None:
    """The studio while the steps go by, from one clip for each picture of it."""
    if only not in "studio-making":
        return
    for theme in THEMES:
        for size in (DESK, PHONE):
            with people.page(stage.OWNER, theme=theme, size=size) as page:
                card = stage.ask_for_a_clip(page)
                card.locator("img").wait_for(timeout=stage.CLIP_MS)
                page.wait_for_timeout(150)
                if size is PHONE:
                    page.evaluate(
                        "document.querySelector('article.card').scrollIntoView()"
                    )  # it is drawn anew
                keep(page.screenshot(), f"studio-making-{theme}-{size.width}")
                card.locator("video").wait_for(timeout=stage.CLIP_MS)


def keep(taken: bytes, name: str) -> None:
    """Pack a picture as WebP, coarser where only that makes it small enough."""
    TARGET.mkdir(parents=True, exist_ok=True)
    path = TARGET / f"{name}.webp"
    with Image.open(io.BytesIO(taken)) as image:
        full = image.convert("RGB")
    for quality in range(QUALITY, LEAST_QUALITY - 1, -12):
        packed = io.BytesIO()
        full.save(packed, "WEBP", quality=quality, method=4)
        if packed.tell() <= MOST_BYTES:
            break
    path.write_bytes(packed.getvalue())
    print(f"docs/screens/{path.name} {len(packed.getvalue()) // 1000} kB", flush=True)  # noqa: T201
