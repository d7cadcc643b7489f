"""Draws the pictures of golden cases from their recipes. All are synthetic: marks, textures, discs on a ground."""

from collections.abc import Mapping

import numpy as np

from safety.models import HashEntry
from safety.policy.records import GoldenCase
from safety.postfilter import canary, hash_list

SOURCE = "Backlot golden set"  # of the hash entries that `register` writes
TEXTURE_CELLS = (3, 5, 9, 17, 33)


class UnknownRecipe(ValueError):
    """The recipe names a picture that this version can't draw."""


def draw(recipe: Mapping) -> np.ndarray:
    """The picture of a recipe, uint8 RGB [height, width, 3]; the same recipe is the same picture."""
    height, width, seed = int(recipe["height"]), int(recipe["width"]), int(recipe["seed"])
    if recipe["picture"] == "canary":
        return canary.paint(shapes(seed, height, width), recipe["class"])
    if recipe["picture"] == "shapes":
        return shapes(seed, height, width)
    if recipe["picture"] in ("texture", "registered"):
        return texture(seed, height, width)
    raise UnknownRecipe(f"no golden picture is called {recipe['picture']!r}")


def shapes(seed: int, height: int, width: int) -> np.ndarray:
    """A coloured disc on a plain ground, as the shipped model's world has them: uint8 RGB [height, width, 3]."""
    chance = np.random.default_rng(seed)
    ground, colour = chance.integers(0, 256, (2, 3))
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = ground
    y, x = np.mgrid[:height, :width]
    centre = width * chance.uniform(0.25, 0.75)
    picture[(x - centre) ** 2 + (y - height / 2) ** 2 < (min(height, width) / 4) ** 2] = colour
    return picture


def texture(seed: int, height: int, width: int) -> np.ndarray:
    """A picture with structure at several scales, which perceptual hashes need: uint8 RGB [height, width, 3]."""
    chance = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3))
    for cells in TEXTURE_CELLS:
        coarse = chance.uniform(-1, 1, (cells, cells, 3))
        rows, columns = np.linspace(0, cells - 1.001, height), np.linspace(0, cells - 1.001, width)
        picture += coarse[rows.astype(int)][:, columns.astype(int)] / cells**0.5
    low, high = picture.min(), picture.max()
    return ((picture - low) / (high - low) * 255).astype(np.uint8)


def register(author: str) -> int:
    """Put the pictures that golden cases call registered on the hash list, where they are missing; how many."""
    before = HashEntry.objects.count()
    listed = set(HashEntry.objects.filter(source=SOURCE).values_list("note", flat=True))
    for case in GoldenCase.objects.filter(recipe__picture="registered", retired_at=None):
        note = f"golden case {case.pk}"
        if note not in listed:
            picture = draw(case.recipe)
            hash_list.register(
                picture, source=SOURCE, author=author, note=note, frame_class=case.recipe["class"]
            )
    return HashEntry.objects.count() - before
