"""What was asked for, checked: each field is accepted, refused by name, or filled with what the model does best."""

import hashlib
import json
import re
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

from accounts.errors import ApiError
from accounts.models import TierTerms
from generation import registry
from generation.models import RegisteredModel

MOST_CLIP_PROMPT_CHARACTERS = 2_000
MOST_SEED = 2**31 - 1
# Fields that came later: without a value they are not written, so that what was stored before hashes as it did.
LATER = (
    *("image", "dialect", "turns", "structure", "partial", "background", "kept", "metadata", "instructions"),
)


@dataclass(frozen=True)
class ClipSpec:
    """A clip to make: pixels, frames a second, whole seconds, and the exact number of denoising steps."""

    prompt: str
    width: int
    height: int
    fps: int
    seconds: int
    steps: int
    seed: int
    guidance: float
    precision: str
    image: str | None = None  # sha256 of the plain picture that the clip begins from

    @property
    def frames(self) -> int:
        return self.fps * self.seconds

    @property
    def size(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class CodeSpec:
    """Code to write; token counts by the model's own tokenizer. code/spec.py reads it from a request.

    `turns` cut the prompt into the messages of a conversation (code/conversation.py), `structure` is what the answer
    has to be (engines/asked.py), `partial` the language in which an answer that ends early is to parse. `background`
    work outlives its reader; what is not `kept` can't be retrieved as a response.
    """

    prompt: str
    prompt_tokens: int
    max_tokens: int
    temperature: float
    top_p: float
    seed: int
    stop: tuple[str, ...]
    precision: str
    dialect: str = "completion"
    turns: list[list] = field(default_factory=list)
    structure: dict | None = None
    partial: str | None = None
    background: bool = False
    kept: bool = True
    metadata: dict[str, str] = field(default_factory=dict)
    instructions: bool = False


Spec = ClipSpec | CodeSpec


def stored(spec: Spec) -> dict:
    """The spec as JSON for the job's row, without the prompt, which has a column of its own."""
    return {name: value for name, value in _written(spec).items() if name != "prompt"}


def spec_hash(spec: Spec, model: RegisteredModel) -> str:
    """sha256 of everything that decides the result; a checkpoint of another hash is refused."""
    return digest({"model": str(model), **_written(spec)})


def _written(spec: Spec) -> dict:
    """The fields of a spec; later ones at their default are not written, as before there were such fields."""
    later = {one.name: one for one in fields(spec) if one.name in LATER}
    return {
        name: value
        for name, value in vars(spec).items()
        if name not in later or value != _default(later[name])
    }


def _default(one: Field) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()


def digest(value: Mapping) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def clip_spec(fields: Mapping[str, Any], terms: TierTerms, model: RegisteredModel) -> ClipSpec:
    """Check a request for a clip against the model and the tier; raises `ApiError` that names the field."""
    width, height = _size(fields.get("size"), terms, model)
    steps = _steps(fields.get("steps"), terms, model)
    return ClipSpec(
        prompt=prompt_text(fields.get("prompt"), MOST_CLIP_PROMPT_CHARACTERS),
        width=width,
        height=height,
        fps=model.can.fps,
        seconds=_seconds(fields.get("seconds"), terms, model),
        steps=steps,
        seed=seed(fields.get("seed")),
        guidance=model.can.guidance,
        precision=registry.precision_for(model, terms.precision),
        image=_image(fields.get("input_reference"), model),
    )


def prompt_text(value: Any, most: int, *, newlines: bool = True, param: str = "prompt") -> str:
    """The prompt as it will be used; refused where empty, too long, no text, or with control characters."""
    if value is None:
        raise ApiError("missing_required_parameter", "A prompt is required.", param=param)
    if not isinstance(value, str):
        raise ApiError("invalid_type", "The prompt must be a string.", param=param)
    if len(value) > most:
        message = f"The prompt has {len(value):,} characters; at most {most:,} are allowed."
        raise ApiError("prompt_too_long", message, param=param)
    if not value.strip():
        raise ApiError("prompt_empty", "The prompt is empty. Describe what should be made.", param=param)
    allowed = "\n\r\t" if newlines else ""
    bad = {c for c in value if c not in allowed and unicodedata.category(c) in ("Cc", "Cs")}
    if bad:
        names = ", ".join(sorted(f"U+{ord(c):04X}" for c in bad)[:5])
        message = f"The prompt has control characters ({names}). Remove them."
        raise ApiError("prompt_control_characters", message, param=param)
    return value


def _image(reference: Any, model: RegisteredModel) -> str | None:
    """The digest of the plain picture, where the model can begin from one. The picture is decoded here, not before."""
    if reference is None:
        if model.can.needs_image:
            message = f"{model.name} makes clips from a picture. Send one as input_reference."
            raise ApiError("missing_required_parameter", message, param="input_reference")
        return None
    if not model.can.image_to_video:
        raise _no_image_for(model, reference.param)
    return reference.picture.digest


def _no_image_for(model: RegisteredModel, param: str) -> ApiError:
    """`param` is the field that the picture came in: input_reference, or the clip that is to be extended."""
    able = [known.name for known in registry.available() if getattr(known.can, "image_to_video", False)]
    from_text = f"{model.name} makes clips from text alone."
    if able:
        message = f"{from_text} Models that begin from a picture: {', '.join(able)}."
        return ApiError("invalid_value", f"{message} Nothing was queued or charged.", param=param)
    message = f"No model here begins from a picture yet. Leave {param} out."
    if param == "video":
        message = f"{from_text} An extension begins from the last frame of a clip, and no model here can yet."
    return ApiError("not_implemented", f"{message} Nothing was queued or charged.", param=param)


def _steps(value: Any, terms: TierTerms, model: RegisteredModel) -> int:
    """Exactly the tier's steps, or the model's most where that is fewer; a request can only say the same."""
    most = model.can.steps_most
    steps = terms.steps if most is None else min(terms.steps, most)
    if value not in (None, "") and whole(value, "steps") != steps:
        whose = "your tier runs" if steps == terms.steps else f"{model.name} runs"
        raise ApiError("invalid_value", f"Leave steps out: {whose} exactly {steps}.", param="steps")
    return steps


def _size(value: Any, terms: TierTerms, model: RegisteredModel) -> tuple[int, int]:
    sizes = model.can.sizes
    if value in (None, ""):
        value = sizes[0]
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", value) if isinstance(value, str) else None
    if not match:
        message = f"Write the size as WIDTHxHEIGHT. {model.name} can do: {', '.join(sizes)}."
        raise ApiError("unsupported_size", message, param="size")
    width, height = int(match[1]), int(match[2])
    # A tier's cap is a landscape frame; the same frame upright is within it.
    if max(width, height) > terms.max_width or min(width, height) > terms.max_height:
        message = f"Your tier's largest frame is {terms.max_width}x{terms.max_height}; {value} is over it."
        raise ApiError("over_tier_limit", message, param="size")
    if value not in sizes:
        raise ApiError("unsupported_size", f"{model.name} can do: {', '.join(sizes)}.", param="size")
    return width, height


def _seconds(value: Any, terms: TierTerms, model: RegisteredModel) -> int:
    possible = model.can.seconds
    if value in (None, ""):
        return possible[0]
    listed = ", ".join(str(seconds) for seconds in possible)
    try:
        seconds = whole(value, "seconds", least=1)
    except ApiError:
        message = f"Give whole seconds. {model.name} can do: {listed}."
        raise ApiError("unsupported_seconds", message, param="seconds") from None
    if seconds > terms.max_seconds:
        message = f"Your tier's longest clip is {terms.max_seconds} s; {seconds} s is over it."
        raise ApiError("over_tier_limit", message, param="seconds")
    if seconds not in possible:
        raise ApiError("unsupported_seconds", f"{model.name} can do: {listed} (seconds).", param="seconds")
    return seconds


def seed(value: Any) -> int:
    """The seed, or a random one."""
    if value in (None, ""):
        return secrets.randbelow(MOST_SEED + 1)
    return whole(value, "seed", least=0, most=MOST_SEED)


def given(fields: Mapping[str, Any], name: str, default: Any) -> Any:
    """A field, or the default where it is left out or null."""
    value = fields.get(name)
    return default if value is None else value


def whole(value: Any, param: str, least: int | None = None, most: int | None = None) -> int:
    """A whole number, as a number or as the text a form sends."""
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,12}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ApiError("invalid_type", f"{param} must be a whole number.", param=param)
    if (least is not None and value < least) or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"between {least} and {most}"
        raise ApiError("invalid_value", f"{param} must be {bounds}.", param=param)
    return value


def number(value: Any, param: str, least: float, most: float) -> float:
    """A number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ApiError("invalid_type", f"{param} must be a number.", param=param)
    if not least <= value <= most:
        raise ApiError("invalid_value", f"{param} must be between {least} and {most}.", param=param)
    return float(value)
