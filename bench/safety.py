"""What checking a text costs per stage, beside the raw library call, and what checking a frame costs per adapter.

Prompts of the frozen split, each once, so that no vector is remembered. The frame half is in `safety_frames.py`.
"""

import itertools
import os
import time
from collections.abc import Iterable
from importlib.util import find_spec
from statistics import median

from django.conf import settings

from bench.harness import Figure, Run, percentile
from bench.scoring import scoring
from safety.prefilter.cascade import Screening, screen_prompt
from safety.prefilter.normalise import normalise
from safety.training.text_set import expand

SHORT = os.environ.get("SHORT") == "1"
TEXTS = 60 if SHORT else 300
WARM = 10


def measure(run: Run) -> Iterable[Figure]:
    """`text_*_ms`: the median and the 99th percentile of each stage; then the frames, where that half is there."""
    with scoring():
        clips = [
            one.text for one in expand("frozen", per_template=40) if one.kind == "clip" and not one.category
        ]
        yield from _texts("clip", clips)
        code = [
            one.text for one in expand("frozen", per_template=40) if one.kind == "code" and not one.category
        ]
        yield from _texts("code", code)
    if find_spec("bench.safety_frames"):
        from bench import safety_frames

        yield from safety_frames.measure(run)


def _texts(kind: str, texts: list[str]) -> Iterable[Figure]:
    chosen = list(itertools.islice(itertools.cycle(texts), 0, min(TEXTS, len(texts)) + WARM))
    encoder = _raw_encoder()
    screenings: list[Screening] = []
    raw: list[float] = []
    walls: list[float] = []
    for text in chosen:
        began = time.perf_counter()
        screenings.append(screen_prompt(text, kind))
        walls.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        encoder(normalise(text))
        raw.append((time.perf_counter() - began) * 1000)
    screenings, raw, walls = screenings[WARM:], raw[WARM:], walls[WARM:]
    reference = "the encoder alone, one text, in this process"
    for stage in ("normalise", "rules", "embedding", "classifier", "scorer"):
        own = [one.ms.get(stage, 0.0) for one in screenings]
        yield Figure(f"text_{kind}_{stage}_ms_p50", median(own), "ms", reference, median(raw))
    yield Figure(f"text_{kind}_tax_ms_p50", median(walls), "ms", reference, median(raw))
    p99 = percentile(walls, 0.99)
    yield Figure(f"text_{kind}_tax_ms_p99", p99, "ms", f"{reference}, p99", percentile(raw, 0.99))


def _raw_encoder():
    """The library call that the embedding stage is made of: tokenizer and matrix products."""
    from safety.scorer import embedding

    encoder = embedding.encoder_of(embedding.model_folder(settings.SCORER_MODEL))
    return lambda text: encoder.encode([text])
