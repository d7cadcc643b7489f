"""The request that made a job, to send again with curl or the stock client. The key is a variable of the shell."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from generation.code import conversation
from generation.lineage.records import Relation
from generation.models import Job, Kind

KEY = "BACKLOT_API_KEY"
PICTURE = "picture.png"
CODE_CALLS = {
    "completion": ("/completions", "completions.create", "answer.choices[0].text"),
    "chat": ("/chat/completions", "chat.completions.create", "answer.choices[0].message.content"),
    "response": ("/responses", "responses.create", "answer.output_text"),
}
# What the client's own method has no argument for goes along in `extra_body`.
NOT_ARGUMENTS = {
    "completion": ("backlot",),
    "chat": ("backlot",),
    "response": ("backlot", "seed", "stop"),
}


@dataclass(frozen=True)
class AskedFor:
    """A request: its path under /v1, its fields, and whether it travels as a form.

    `method` is the client's own name for it, `arguments` what that takes of the fields, `leading` by place.
    """

    path: str
    method: str
    fields: Mapping[str, Any]
    arguments: tuple[str, ...]
    afterwards: tuple[str, ...]
    form: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    leading: tuple[str, ...] = ()


@dataclass(frozen=True)
class Copies:
    curl: str
    python: str
    needs_picture: bool = False


def copies_of(job: Job, base_url: str) -> Copies:
    """`base_url` ends in /v1. Every field is written out, so that the same model makes the same clip or answer."""
    asked = _clip(job) if job.kind == Kind.CLIP else _code(job)
    return Copies(_curl(asked, base_url), _python(asked, base_url), bool(asked.files))


def _clip(job: Job) -> AskedFor:
    spec = job.spec
    fields = {
        "prompt": job.prompt,
        "model": job.model.name,
        "size": f"{spec['width']}x{spec['height']}",
        "seconds": str(spec["seconds"]),
        "seed": job.seed,
    }
    picture = {"input_reference": PICTURE} if spec.get("image") else {}
    save = 'client.videos.download_content(video.id).write_to_file("clip.mp4")'
    poll = ("video = client.videos.poll(video.id)", save)
    if job.parent_relation == Relation.EXTENSION:
        named = {**fields, "video": {"id": job.parent_public_id}}
        return AskedFor("/videos/extensions", "videos.extend", named, ("prompt", "seconds"), poll, form=True)
    if job.parent_relation == Relation.REMIX:
        # A picture takes a form; the client's own call sends none, so the clip is asked for as itself.
        parent = job.parent_public_id
        if not picture:
            path = f"/videos/{parent}/remix"
            return AskedFor(path, "videos.remix", fields, ("prompt",), poll, leading=(parent,))
    known = ("prompt", "model", "size", "seconds")
    return AskedFor("/videos", "videos.create_and_poll", fields, known, (save,), True, picture)


def _code(job: Job) -> AskedFor:
    spec = job.spec
    dialect = spec.get("dialect", "completion")
    path, method, answer = CODE_CALLS[dialect]
    fields = {"model": job.model.name, **_words(job, dialect), **_limits(job, dialect)}
    if spec.get("stop"):
        fields["stop"] = list(spec["stop"])
    if spec.get("background"):
        fields["background"] = True
    if not spec.get("kept", True):
        fields["store"] = False
    if spec.get("metadata"):
        fields["metadata"] = spec["metadata"]
    fields |= _structure(spec.get("structure"), dialect)
    own = _own(spec)
    if dialect != "response" and fields.pop("background", False):
        own["background"] = True
    if own:
        fields["backlot"] = own | fields.get("backlot", {})
    arguments = tuple(name for name in fields if name not in NOT_ARGUMENTS[dialect])
    return AskedFor(path, method, fields, arguments, (f"print({answer})",))


def _words(job: Job, dialect: str) -> dict[str, Any]:
    if dialect == "completion":
        return {"prompt": job.prompt}
    said = [
        {"role": one.role, "content": one.content}
        for one in conversation.split(job.prompt, job.spec.get("turns", []))
    ]
    if dialect == "chat":
        return {"messages": said}
    if job.spec.get("instructions"):
        return {"instructions": said[0]["content"], "input": said[1:]}
    return {"input": said}


def _limits(job: Job, dialect: str) -> dict[str, Any]:
    spec = job.spec
    limit = {"completion": "max_tokens", "chat": "max_completion_tokens", "response": "max_output_tokens"}
    sampled = {"temperature": spec["temperature"], "top_p": spec["top_p"], "seed": job.seed}
    return {limit[dialect]: spec["max_tokens"], **sampled}


def _structure(structure: Mapping[str, str] | None, dialect: str) -> dict[str, Any]:
    if not structure:
        return {}
    if structure["kind"] != "json_object":
        text = structure["text"]
        return {
            "backlot": {structure["kind"]: json.loads(text) if structure["kind"] == "json_schema" else text}
        }
    plain = {"type": "json_object"}
    return {"response_format": plain} if dialect == "chat" else {"text": {"format": plain}}


def _own(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What stands under `backlot`."""
    return {"partial": "ast", "language": spec["partial"]} if spec.get("partial") else {}


def _curl(asked: AskedFor, base_url: str) -> str:
    lines = [f"curl -sS {shlex.quote(base_url + asked.path)}", f'-H "Authorization: Bearer ${KEY}"']
    if asked.form:
        # --form-string: curl reads no file, whatever the words begin with.
        lines += [
            f"--form-string {shlex.quote(f'{name}={value}')}" for name, value in _flat(asked.fields).items()
        ]
        lines += [f"-F {name}=@{file}" for name, file in asked.files.items()]
    else:
        body = json.dumps(dict(asked.fields), ensure_ascii=False)
        lines += ['-H "Content-Type: application/json"', f"--data-raw {shlex.quote(body)}"]
    return " \\\n  ".join(lines)


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """As a form writes them: {"video": {"id": …}} is video[id]."""
    flat = {}
    for name, value in fields.items():
        inner = value if isinstance(value, Mapping) else None
        flat |= {f"{name}[{key}]": text for key, text in inner.items()} if inner else {name: value}
    return flat


def _python(asked: AskedFor, base_url: str) -> str:
    given = [repr(value) for value in asked.leading]
    given += [f"{name}={asked.fields[name]!r}" for name in asked.arguments]
    given += [f'{name}=open("{file}", "rb")' for name, file in asked.files.items()]
    rest = {name: value for name, value in asked.fields.items() if name not in asked.arguments}
    if asked.method == "videos.extend":
        given.append("video=openai.omit")  # the client itself takes a file there, and no id
    if rest:
        given.append(f"extra_body={rest!r}")
    result = "video" if asked.method.startswith("videos.") else "answer"
    return "\n".join(
        [
            "import os",
            "",
            "import openai",
            "",
            f'client = openai.OpenAI(base_url={base_url!r}, api_key=os.environ["{KEY}"])',
            f"{result} = client.{asked.method}(",
            *(f"    {one}," for one in given),
            ")",
            *asked.afterwards,
        ]
    )
