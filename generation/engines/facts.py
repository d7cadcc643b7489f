"""What a model folder says of itself, readable without torch."""

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path

from generation.engines.errors import ModelUnavailable

FACTS_FILE = "backlot.json"


@dataclass(frozen=True)
class ModelFacts:
    """What the model does best. The defaults are pocket-video's.

    `sizes` are "WIDTHxHEIGHT" in pixels, `seconds` the lengths it can make, `max_sequence_length` the prompt's length
    in tokens that it was trained with (padding is part of what it saw, so serving uses the same). `image_to_video`
    says that it can begin from a picture. `preview` is how an early look is made: "vae", or "linear" through
    `preview_projection` (one row of red, green, blue per latent channel and a last row to add; see projection.py).
    `decode_s_per_megapixel` is the time budget of decoding, per million pixels over all frames; None where nobody
    has measured it. `options` are the engine's settings (options.py) where the registry's row chooses none.
    """

    width: int = 64
    height: int = 64
    frames: int = 16
    fps: int = 8
    guidance: float = 4.0
    max_sequence_length: int = 64
    sizes: tuple[str, ...] = ("64x64",)
    seconds: tuple[int, ...] = (2,)
    image_to_video: bool = False
    preview: str = "vae"
    preview_projection: tuple = ()
    decode_s_per_megapixel: float | None = None
    options: dict | None = None

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """Every (width, height, frames) that is offered, the one it does best first."""
        sizes = [tuple(int(side) for side in size.split("x")) for size in self.sizes]
        listed = [(*size, seconds * self.fps) for size in sizes for seconds in self.seconds]
        best = (self.width, self.height, self.frames)
        return [best, *(shape for shape in listed if shape != best)]


def read(folder: Path) -> ModelFacts:
    """The facts in the folder's `backlot.json`, or the defaults where it, or a key in it, is absent."""
    path = folder / FACTS_FILE
    if not path.exists():
        return ModelFacts()
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{path} cannot be read: {error}") from error
    known = {field.name for field in fields(ModelFacts)}
    unknown = sorted(set(written) - known)
    if unknown:
        raise ModelUnavailable(f"{path} has unknown keys: {', '.join(unknown)}")
    facts = ModelFacts(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in written.items()}
    )
    if facts.preview not in ("vae", "linear") or (facts.preview == "linear" and not facts.preview_projection):
        raise ModelUnavailable(f'{path}: preview is "vae", or "linear" with a preview_projection.')
    return facts


def decode_estimate_s(s_per_megapixel: float, width: int, height: int, frames: int) -> float:
    """Seconds that decoding may take, by the pixels of all frames."""
    return s_per_megapixel * width * height * frames / 1e6


def revision_of(folder: Path) -> str:
    """A name for exactly these files: the first 16 hex digits of a sha256 over every path and its bytes.

    Meant for small folders that are registered by themselves; it reads the whole folder.
    """
    if not folder.is_dir():
        raise ModelUnavailable(f"{folder} is not a folder")
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(folder)).encode() + b"\0")
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
