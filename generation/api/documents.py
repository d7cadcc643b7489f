"""The shapes of /v1 and /api for the OpenAPI document, and what their responses are checked against."""

from datetime import datetime
from typing import Any, Literal

from ninja import Schema


class VideoError(Schema):
    code: str
    message: str


class Backlot(Schema):
    """What Backlot adds to the Video object. Money in credits, and exactly in micro-credits; times in seconds."""

    state: str
    stage: str
    steps: int
    steps_run: int
    checkpoints: int
    seed: int
    repeat_of: str | None
    extends: str | None
    precision: str
    queue_position: int | None
    eta_s: float | None
    eta_low_s: float | None
    eta_high_s: float | None
    waiting_because: str | None
    units: float
    quote: float
    charge: float | None
    quote_micro: int
    charge_micro: int | None
    decision: str
    credentials: str | None
    stages: dict[str, Any]


class Video(Schema):
    id: str
    object: Literal["video"]
    model: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None
    size: str
    seconds: str
    prompt: str
    remixed_from_video_id: str | None
    error: VideoError | None
    backlot: Backlot


class VideoPage(Schema):
    object: Literal["list"]
    data: list[Video]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Deleted(Schema):
    id: str
    object: Literal["video.deleted"]
    deleted: bool


class Choice(Schema):
    index: int
    text: str
    finish_reason: Literal["stop", "length", "content_filter"]
    logprobs: None


class Usage(Schema):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completion(Schema):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    backlot: dict[str, Any]


class Model(Schema):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    backlot: dict[str, Any]


class ModelList(Schema):
    object: Literal["list"]
    data: list[Model]


class Gate(Schema):
    """The deploy gate that let the revision in."""

    at: datetime
    passed: bool
    figures: dict[str, float]


class Variant(Schema):
    """A precision (with engine options, where there are any) as it was measured; nulls where it was not.

    `speed` is how many times as fast as the full precision a clip was made over the same prompts on the same device.
    """

    precision: str
    options: dict[str, Any]
    speed: float | None
    match_rates: dict[str, float | None] | None
    seconds_per_clip: float | None
    prompts: int | None
    seed: int | None
    device: str | None
    measured_at: datetime | None


class MeasuredModel(Model):
    gate: Gate | None
    variants: list[Variant]


class MeasuredModelList(Schema):
    object: Literal["list"]
    data: list[MeasuredModel]


class Event(Schema):
    at: datetime
    from_state: str
    to_state: str
    cause: str
    fence: int


class StageSpan(Schema):
    """When a stage ran, in milliseconds since the attempt's `started_at`."""

    stage: str
    start_ms: int
    end_ms: int


class AttemptDocument(Schema):
    """One worker's turn: `outcome` is empty while it runs. The device is free for the next job after `decode`."""

    fence: int
    started_at: datetime
    ended_at: datetime | None
    outcome: str
    detail: str
    stage: str
    step: int
    resumed_from_step: int
    checkpoints: int
    device: str
    precision: str
    gpu_ms: int
    stages: dict[str, Any]
    trace: list[StageSpan]
    peak_memory_bytes: int
    checkpoint_bytes: int
    file_bytes: int
    preempt_requested_at: datetime | None
    preempt_reason: str
    yield_ms: int | None
    return_position: int | None


class ParentClip(Schema):
    """The clip that another was made from: with other words and the same settings, or going on from its end."""

    id: str
    relation: Literal["remix", "extension"]


class JobListed(Schema):
    """A job with its stages and attempts. Times in UTC; in lists, its place and the time to its end are null."""

    id: str
    kind: Literal["clip", "code"]
    model: str
    precision: str
    state: str
    cause: str
    prompt: str
    spec: dict[str, Any]
    parent: ParentClip | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    steps: int
    steps_run: int
    checkpoints: int
    tokens_in: int
    tokens_out: int
    stages: dict[str, Any]
    device: str
    model_revision: str
    peak_memory_bytes: int
    checkpoint_bytes: int
    file_bytes: int
    error: VideoError | None
    queue_position: int | None
    eta_s: float | None
    eta_low_s: float | None
    eta_high_s: float | None
    waiting_because: str | None
    units: float
    quote: float
    charge: float | None
    quote_micro: int
    charge_micro: int | None
    decision: str
    attempts: list[AttemptDocument]


class JobDocument(JobListed):
    """A job with how it got where it is: every change of its state as well."""

    events: list[Event]


class JobPage(Schema):
    """Newest first unless asked otherwise; the next page is asked for with `after=last_id`."""

    object: Literal["list"]
    data: list[JobListed]
    has_more: bool
    last_id: str | None


class QuoteDocument(Schema):
    """What a request would cost at most, and whether it would be allowed now. Money as in the Video object."""

    model: str
    spec: dict[str, Any]
    allowed: bool
    code: str | None
    message: str
    would_allow: str | None
    retry_after_s: float | None
    units: float
    quote: float
    quote_micro: int
    available_micro: int
    micro_per_unit: int
    price_version: int
    estimate_gpu_s: float
    layers: list[dict[str, Any]]
    settlement: list[dict[str, Any]]


TEXT, WHOLE, NUMBER, FLAG = {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "boolean"}
CLIP_FIELDS = {
    "prompt": {
        **TEXT,
        "description": "What to show.",
        "example": "A red circle moves right over a blue wall",
    },
    "model": {
        **TEXT,
        "description": "An id of GET /v1/models; left out: the clip model that ships.",
        "example": "pocket-video",
    },
    "size": {**TEXT, "description": "WIDTHxHEIGHT within the tier; left out: what the model does best."},
    "seconds": {**TEXT, "description": "Whole seconds within the tier; left out: what the model does best."},
    "seed": {
        **WHOLE,
        "description": "The same seed, model and fields give the same clip; left out: a random one.",
    },
    "steps": {**WHOLE, "description": "Only the tier's own number of denoising steps; best left out."},
}
PICTURE = {
    **TEXT,
    "format": "binary",
    "description": "One still JPEG, PNG or WebP file that the clip begins from.",
}
REMIX_FIELDS = {
    **{name: value for name, value in CLIP_FIELDS.items() if name != "steps"},
    "seed": {**WHOLE, "description": "Left out: that of the clip that is remixed, as every other field."},
}
EXTENSION_FIELDS = {
    **REMIX_FIELDS,
    "seed": CLIP_FIELDS["seed"],
    "video": {
        "description": "The clip to go on from: its id, or its file as it was downloaded, byte for byte.",
        "oneOf": [
            {"type": "object", "properties": {"id": TEXT}, "required": ["id"]},
            TEXT,
            {**TEXT, "format": "binary"},
        ],
    },
}
CODE_FIELDS = {
    "prompt": {**TEXT, "description": "The code to continue.", "example": "def fibonacci(n):\n"},
    "model": {
        **TEXT,
        "description": "An id of GET /v1/models; left out: the code model that ships.",
        "example": "pocket-code",
    },
    "max_tokens": {**WHOLE, "description": "The most tokens to write; the quote is for all of them."},
    "temperature": {**NUMBER, "description": "0 to 2."},
    "top_p": {**NUMBER, "description": "0.01 to 1."},
    "seed": WHOLE,
    "stop": {
        "oneOf": [TEXT, {"type": "array", "items": TEXT}],
        "description": "Up to four texts that end the answer.",
    },
    "stream": {**FLAG, "description": "Server-sent events instead of one answer."},
    "stream_options": {"type": "object", "properties": {"include_usage": FLAG}},
}


def body(fields: dict[str, Any], *, required: tuple[str, ...] = ("prompt",)) -> dict[str, Any]:
    """The OpenAPI request body of a call that takes a form or JSON and checks its fields itself."""
    schema = {"type": "object", "properties": fields, "required": list(required)}
    content = {kind: {"schema": schema} for kind in ("application/json", "multipart/form-data")}
    return {"requestBody": {"required": True, "content": content}}
