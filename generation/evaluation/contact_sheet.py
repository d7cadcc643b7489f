"""A picture that shows many clips at a glance: six frames of each under its prompt, in two columns."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

FRAMES_SHOWN = 6
COLUMNS, LABEL, GAP = 2, 14, 8


def draw(prompts: Sequence[str], clips: Sequence[np.ndarray], path: Path) -> None:
    """Write the sheet of clips uint8 [frames, height, width, 3], all of one size."""
    length, tile_height, tile_width = clips[0].shape[:3]
    shown = np.linspace(0, length - 1, FRAMES_SHOWN).round().astype(int)
    width, height = tile_width * FRAMES_SHOWN + GAP, tile_height + LABEL + GAP // 2
    rows = -(-len(prompts) // COLUMNS)
    sheet = Image.new("RGB", (width * COLUMNS, height * rows), "white")
    pen = ImageDraw.Draw(sheet)
    for i, (prompt, clip) in enumerate(zip(prompts, clips, strict=True)):
        left, top = i % COLUMNS * width, i // COLUMNS * height
        pen.text((left + 2, top + 1), prompt, fill="black")
        strip = Image.fromarray(np.concatenate([clip[k] for k in shown], axis=1))
        sheet.paste(strip, (left, top + LABEL))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Five bits a channel look the same and halve the file.
    ImageOps.posterize(sheet, 5).save(path, optimize=True)
