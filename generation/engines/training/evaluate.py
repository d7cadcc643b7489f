"""Sample prompts, judge the clips, print match rates and draw a contact sheet.

`python -m generation.engines.training.evaluate --n 64 --seed 900001 --sheet docs/screens/sheet.png`
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from diffusers import WanPipeline
from PIL import Image, ImageDraw, ImageOps

from generation.engines.training.architecture import GUIDANCE, TEXT_TOKENS, WEIGHTS_FOLDER, load_pipeline
from generation.engines.training.captions import caption
from generation.engines.training.judge import Verdict, judge
from generation.engines.training.world import FRAMES, SIZE, Scene, draw_scenes

CLIPS_AT_ONCE = 8
SHEET_FRAMES = (0, 3, 6, 9, 12, 15)
SHEET_COLUMNS, SHEET_SCALE, SHEET_LABEL = 2, 1, 14


def unseen_prompts(count: int, seed: int, held_out: bool | None = False) -> tuple[list[Scene], list[str]]:
    """Scenes and complete captions from a seed that no training stage uses."""
    scenes = draw_scenes(count, seed, held_out)
    rng = np.random.default_rng(seed)
    return scenes, [caption(scene, rng, left_out=0.0) for scene in scenes]


def sample(
    pipeline: WanPipeline, prompts: list[str], seed: int, steps: int = 30, guidance: float = GUIDANCE
) -> np.ndarray:
    """(n, FRAMES, SIZE, SIZE, 3) uint8; clip i depends on its prompt, `seed` and i only."""
    clips = []
    for first in range(0, len(prompts), CLIPS_AT_ONCE):
        group = prompts[first : first + CLIPS_AT_ONCE]
        generators = [torch.Generator().manual_seed(seed + first + i) for i in range(len(group))]
        made = pipeline(
            group,
            height=SIZE,
            width=SIZE,
            # The pipeline adds one frame where time is not compressed.
            num_frames=FRAMES - 1,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=generators,
            max_sequence_length=TEXT_TOKENS,
            output_type="np",
        ).frames
        clips.append(np.rint(np.asarray(made) * 255).astype(np.uint8))
    return np.concatenate(clips)


def match_rates(scenes: list[Scene], verdicts: list[Verdict]) -> dict[str, float]:
    """Share of clips whose colour, shape, motion, background, and all of these, are those of the scene."""
    total: Counter[str] = Counter()
    for scene, verdict in zip(scenes, verdicts, strict=True):
        total.update({key: int(same) for key, same in verdict.matches(scene).items()})
    rates = {key: total[key] / len(scenes) for key in ("colour", "shape", "motion", "background", "all")}
    return {**rates, "overlap": float(np.mean([v.overlap for v in verdicts]))}


def rates_by_shape(scenes: list[Scene], verdicts: list[Verdict]) -> dict[str, float]:
    """Shape match rate for each asked shape."""
    asked: dict[str, list[bool]] = {}
    for scene, verdict in zip(scenes, verdicts, strict=True):
        asked.setdefault(scene.shape, []).append(verdict.shape == scene.shape)
    return {shape: float(np.mean(same)) for shape, same in sorted(asked.items())}


def contact_sheet(prompts: list[str], clips: np.ndarray, path: Path) -> None:
    """Six frames of each clip under its prompt, in two columns."""
    tile = SIZE * SHEET_SCALE
    width, height = tile * len(SHEET_FRAMES) + 8, tile + SHEET_LABEL + 4
    rows = -(-len(prompts) // SHEET_COLUMNS)
    sheet = Image.new("RGB", (width * SHEET_COLUMNS, height * rows), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (prompt, clip) in enumerate(zip(prompts, clips, strict=True)):
        left, top = i % SHEET_COLUMNS * width, i // SHEET_COLUMNS * height
        draw.text((left + 2, top + 1), prompt, fill="black")
        strip = Image.fromarray(np.concatenate([clip[k] for k in SHEET_FRAMES], axis=1))
        sheet.paste(
            strip.resize((tile * len(SHEET_FRAMES), tile), Image.Resampling.NEAREST),
            (left, top + SHEET_LABEL),
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    # Five bits a channel look the same and halve the file.
    ImageOps.posterize(sheet, 5).save(path, optimize=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=WEIGHTS_FOLDER)
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--seed", type=int, default=900_001)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    parser.add_argument(
        "--held-out", action="store_true", help="only the colour and shape pairs never trained on"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    pipeline = load_pipeline(arguments.folder, torch.bfloat16)
    pipeline.set_progress_bar_config(disable=True)
    scenes, prompts = unseen_prompts(arguments.n, arguments.seed, arguments.held_out)
    started = time.monotonic()
    clips = sample(pipeline, prompts, arguments.seed, arguments.steps, arguments.guidance)
    seconds = (time.monotonic() - started) / arguments.n
    verdicts = [judge(clip) for clip in clips]
    print(json.dumps({**match_rates(scenes, verdicts), "seconds_per_clip": round(seconds, 2)}))
    print(json.dumps({"shape": rates_by_shape(scenes, verdicts)}))
    if arguments.sheet:
        shown = min(20, arguments.n)
        contact_sheet(prompts[:shown], clips[:shown], arguments.sheet)


if __name__ == "__main__":
    main()
