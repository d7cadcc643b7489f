"""Large models that Backlot can run once somebody has downloaded them: what each is, needs and can do.

Plain values. Times are what is published or estimated, never measured here (docs/models.md says which); the calibration
corrects them by what really ran. Standard library only.
"""

from dataclasses import dataclass, field

# The length of a prompt, in tokens, that each family was trained with.
WAN_TEXT_TOKENS = 512
LTX_TEXT_TOKENS = 128


@dataclass(frozen=True)
class Preset:
    """A model to register. `hub` is where its files come from; `facts` go into the registry's row, `in_folder` into the
    folder's backlot.json, which the clip engine reads. `pool` is where it is served unless another is named."""

    name: str
    kind: str
    hub: str
    description: str
    pool: str
    gpu_ms_per_step: int
    gpu_ms_fixed: int
    facts: dict
    in_folder: dict = field(default_factory=dict)
    precision: str = "bf16"


def _clip(
    name: str,
    hub: str,
    description: str,
    *,
    sizes: list[str],
    fps: int,
    guidance: float,
    memory_mb: int,
    ms: int,
    text_tokens: int = WAN_TEXT_TOKENS,
    low: tuple[str, ...] = ("fp8", "int8"),
    **more,
) -> Preset:
    """A clip model of five seconds, large enough that it is decoded in tiles and looked at through a linear mix."""
    width, height = map(int, sizes[0].split("x"))
    can = {"sizes": sizes, "seconds": [5], "fps": fps, "guidance": guidance}
    picture = {"image_to_video": True} if more.get("image_to_video") else {}
    return Preset(
        name=name,
        kind="clip",
        hub=hub,
        description=description,
        pool="clips",
        gpu_ms_per_step=ms,
        gpu_ms_fixed=8_000,
        facts={**can, **more, "precisions": ["bf16", *low], "memory_mb": memory_mb},
        in_folder={
            **can,
            **picture,
            "width": width,
            "height": height,
            "frames": 5 * fps,
            "max_sequence_length": text_tokens,
        },
    )


PRESETS = {
    preset.name: preset
    for preset in (
        _clip(
            "wan-2.1-t2v-1.3b",
            "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
            "Wan 2.1, text to video, 1.3 billion parameters.",
            sizes=["832x480", "480x832"],
            fps=16,
            guidance=5.0,
            memory_mb=20_000,
            ms=4_800,
        ),
        _clip(
            "wan-2.1-t2v-14b",
            "Wan-AI/Wan2.1-T2V-14B-Diffusers",
            "Wan 2.1, text to video, 14 billion parameters.",
            sizes=["1280x720", "720x1280", "832x480", "480x832"],
            fps=16,
            guidance=5.0,
            memory_mb=60_000,
            ms=33_000,
        ),
        _clip(
            "wan-2.1-i2v-14b-480p",
            "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers",
            "Wan 2.1, video from a picture, 14 billion parameters.",
            sizes=["832x480", "480x832"],
            fps=16,
            guidance=5.0,
            memory_mb=60_000,
            ms=9_000,
            image_to_video=True,
            needs_image=True,
        ),
        _clip(
            "wan-2.2-ti2v-5b",
            "Wan-AI/Wan2.2-TI2V-5B-Diffusers",
            "Wan 2.2, video from text or a picture, 5 billion parameters.",
            sizes=["1280x704", "704x1280"],
            fps=24,
            guidance=5.0,
            memory_mb=32_000,
            ms=10_800,
            image_to_video=True,
        ),
        _clip(
            "ltx-video-2b",
            "Lightricks/LTX-Video",
            "LTX-Video, text to video, 2 billion parameters.",
            sizes=["704x480", "480x704", "768x512"],
            fps=24,
            guidance=3.0,
            memory_mb=18_000,
            ms=120,
            text_tokens=LTX_TEXT_TOKENS,
        ),
        Preset(
            name="qwen-2.5-coder-7b",
            kind="code",
            hub="Qwen/Qwen2.5-Coder-7B-Instruct",
            description="Qwen 2.5 Coder, 7 billion parameters, on a vLLM server.",
            pool="coder",
            gpu_ms_per_step=20,
            gpu_ms_fixed=100,
            facts={"context": 32_768, "engine": "vllm"},
        ),
        Preset(
            name="pocket-code-vllm",
            kind="code",
            hub="",
            description="The code model that ships, on a vLLM server: to try how that works.",
            pool="coder",
            gpu_ms_per_step=5,
            gpu_ms_fixed=20,
            facts={"context": 512, "engine": "vllm"},
        ),
    )
}
