"""Sample prompts with the bare pipeline, judge the clips, print match rates and draw a contact sheet.

For a folder while it is trained; what is registered is evaluated through the engine: `manage.py evals prompts`.
`python -m generation.engines.training.evaluate --n 64 --seed 900001 --sheet docs/screens/sheet.png`
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import WanPipeline

from generation.engines.training.architecture import GUIDANCE, TEXT_TOKENS, WEIGHTS_FOLDER, load_pipeline
from generation.engines.training.world import FRAMES, SIZE
from generation.evaluation import contact_sheet
from generation.evaluation.scoring import match_rates, rates_by_shape, unseen_prompts, verdicts_on

CLIPS_AT_ONCE = 8


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
    verdicts = verdicts_on(clips)
    print(json.dumps({**match_rates(scenes, verdicts), "seconds_per_clip": round(seconds, 2)}))
    print(json.dumps({"shape": rates_by_shape(scenes, verdicts)}))
    if arguments.sheet:
        shown = min(20, arguments.n)
        contact_sheet.draw(prompts[:shown], clips[:shown], arguments.sheet)


if __name__ == "__main__":
    main()
