"""A cheap look at a latent: red, green and blue as a linear mix of its channels, fitted to what the VAE decodes.

    python -m generation.engines.projection FOLDER [PROMPT ...]

makes a few clips with the model in FOLDER, fits the mix by least squares, and writes it into the folder's
`backlot.json` (`"preview": "linear"`), which makes it another revision.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from generation.engines import facts
from generation.engines.video import ClipWork, VideoEngine

PROMPTS = (
    "a red ball rolls left over grass at sunset",
    "a blue square rises over snow at night",
    "white star",
    "",
)


def fit(latents: Sequence[np.ndarray], frames: Sequence[np.ndarray]) -> tuple[list[list[float]], float]:
    """Coefficients [channels + 1, 3] and the share of the colours' variance that they explain.

    `latents` are float [channels, t, h, w], `frames` uint8 [f, H, W, 3] decoded from them: each cell is compared with
    the mean colour of the pixels it stands for. The last row is added whatever the latent.
    """
    inputs, colours = [], []
    for latent, decoded in zip(latents, frames, strict=True):
        channels = latent.shape[0]
        inputs.append(latent.reshape(channels, -1).T)
        colours.append(_mean_colours(decoded, latent.shape[1:]))
    known = np.concatenate(inputs).astype(np.float64)
    known = np.hstack([known, np.ones((len(known), 1))])
    wanted = np.concatenate(colours)
    mix = np.linalg.lstsq(known, wanted, rcond=None)[0]
    unexplained = ((known @ mix - wanted) ** 2).sum() / ((wanted - wanted.mean(axis=0)) ** 2).sum()
    return np.round(mix, 5).tolist(), float(1 - unexplained)


def fit_folder(folder: Path, prompts: Sequence[str] = PROMPTS, steps: int = 20) -> float:
    """Fit to clips of the folder's own model and write the mix into its facts; returns the share explained."""
    engine = VideoEngine(folder, "fitting")
    best = engine.facts
    image = np.full((best.height, best.width, 3), 128, np.uint8) if engine.needs_image else None
    latents, frames = [], []
    for seed, prompt in enumerate(prompts):
        work = ClipWork(prompt, "", best.width, best.height, best.frames, steps, best.guidance, seed, image)
        state = engine.start(work)
        while not state.done:
            engine.step(state)
        latents.append(state.latents[0].float().cpu().numpy())
        frames.append(engine.decode_whole(state))
    mix, explained = fit(latents, frames)
    path = folder / facts.FACTS_FILE
    written = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    written |= {"preview": "linear", "preview_projection": mix}
    path.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return explained


def _mean_colours(decoded: np.ndarray, cells: tuple[int, int, int]) -> np.ndarray:
    """[t * h * w, 3], 0 to 1: the first latent stands for the first frame, the others for equal parts of the rest."""
    length, rows, columns = cells
    whole = decoded.astype(np.float64) / 255
    high, wide = whole.shape[1] // rows, whole.shape[2] // columns
    by_cell = whole.reshape(len(whole), rows, high, columns, wide, 3).mean(axis=(2, 4))
    if length == 1:
        return by_cell[:1].reshape(-1, 3)
    rest = by_cell[1:].reshape(length - 1, -1, rows, columns, 3).mean(axis=1)
    return np.concatenate([by_cell[:1], rest]).reshape(-1, 3)


def main(arguments: list[str]) -> None:
    if not arguments:
        sys.exit("Usage: python -m generation.engines.projection FOLDER [PROMPT ...]")
    explained = fit_folder(Path(arguments[0]), arguments[1:] or PROMPTS)
    sys.stdout.write(f"The linear look explains {explained:.1%} of the colours' variance.\n")


if __name__ == "__main__":
    main(sys.argv[1:])
