"""What the credentials of a file say: from claims to a C2PA manifest, and back to flat, plain names."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from PIL import Image

GENERATION = "org.backlot.generation"  # the label of the assertion that holds what Backlot claims
AI_GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
VIDEO = "video/mp4"
THUMBNAIL_SIDE = 256  # pixels of the longest side of an ingredient's thumbnail


class Ingredient(NamedTuple):
    """A picture that a clip was made from: its bytes as they were scanned, their MIME type and their sha256."""

    content: bytes
    media_type: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Claims:
    """What the credentials of a clip are to say. The safety policy is added from the scan that the file passed."""

    subject: str  # the job, as the scan knows it
    fence: int
    model: str
    revision: str
    steps: int
    title: str = ""  # what a person reads, such as the public id
    text_policy_version: str = ""  # of the text rules that the prompt passed
    ingredient: tuple[bytes, str, str] | None = None  # an Ingredient

    def without_ingredient(self) -> "Claims":
        return replace(self, ingredient=None)


@dataclass(frozen=True, slots=True)
class Signable:
    """A file before it is signed: its bytes, and which scanned file its pictures come from."""

    content: bytes
    media_type: str
    scanned_sha256: str
    policy_version: int  # of the frames policy that the scanned file passed under

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def manifest(claims: Claims, file: Signable, seal_public_key: str) -> dict:
    """The manifest's definition. `seal_public_key` is empty where the file gets no seal."""
    created: dict = {
        "action": "c2pa.created",
        "digitalSourceType": AI_GENERATED,
        "softwareAgent": {"name": claims.model, "version": claims.revision},
    }
    if claims.ingredient is not None:
        created["parameters"] = {"ingredientIds": ["input"]}
    generation = {
        "ai_generated": True,
        "model": claims.model,
        "revision": claims.revision,
        "steps": claims.steps,
        "job": claims.subject,
        "safety_policy_version": file.policy_version,
        "text_policy_version": claims.text_policy_version,
        "scanned_sha256": file.scanned_sha256,
    }
    if seal_public_key:
        generation["seal"] = seal_public_key
    if claims.ingredient is not None:
        generation["ingredient_sha256"] = Ingredient(*claims.ingredient).sha256
    return {
        "claim_generator_info": [{"name": "Backlot"}],
        "title": claims.title or claims.subject,
        "format": file.media_type,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
            {"label": GENERATION, "data": generation},
        ],
    }


def ingredient_definition() -> dict:
    """How an input picture is named in the manifest; its thumbnail is the resource `input.jpg`."""
    return {
        "title": "input image",
        "relationship": "inputTo",
        "label": "input",
        "thumbnail": {"format": "image/jpeg", "identifier": "input.jpg"},
    }


def ingredient_thumbnail(ingredient: Ingredient) -> bytes:
    """A small JPEG of it. Raises OSError where it is no picture."""
    with Image.open(io.BytesIO(ingredient.content)) as picture:
        small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    output = io.BytesIO()
    small.save(output, format="JPEG", quality=85)
    return output.getvalue()


def claims_of(active: Mapping) -> dict:
    """What the active manifest says, flat and in plain names."""
    claims: dict = {}
    for assertion in active.get("assertions", []):
        data = assertion.get("data")
        if not isinstance(data, Mapping):
            continue
        if assertion.get("label") == GENERATION:
            claims |= data
        elif str(assertion.get("label")).startswith("c2pa.actions"):
            for action in data.get("actions", []):
                if action.get("action") == "c2pa.created" and "digitalSourceType" in action:
                    claims["digital_source_type"] = action["digitalSourceType"]
    signature = active.get("signature_info", {})
    claims |= {"signed_by": signature.get("common_name", ""), "issuer": signature.get("issuer", "")}
    return claims | ({"time_stamp": signature["time"]} if signature.get("time") else {})
