"""Sentences for scenes, with synonyms, several word orders, and now and then something left unsaid."""

import numpy as np

from generation.engines.training.world import Scene

SHAPE_WORDS = {
    "circle": ("ball", "ball", "circle", "disc"),
    "square": ("square", "square", "box", "block", "cube"),
    "triangle": ("triangle", "triangle", "pyramid"),
    "star": ("star",),
}
COLOUR_WORDS = {
    "red": ("red", "red", "red", "crimson", "scarlet"),
    "orange": ("orange",),
    "yellow": ("yellow", "yellow", "golden"),
    "green": ("green",),
    "cyan": ("cyan", "turquoise", "teal"),
    "blue": ("blue",),
    "purple": ("purple", "purple", "violet"),
    "pink": ("pink", "pink", "magenta"),
}
SIZE_WORDS = {
    "small": ("small", "little", "tiny"),
    "medium": ("medium", "medium-sized", "mid-sized"),
    "large": ("large", "big", "huge"),
}
# (as "-ing", as a verb) so that both word orders can use them.
MOTION_WORDS = {
    "left": (
        ("moving left", "moves left"),
        ("rolling left", "rolls left"),
        ("sliding to the left", "slides to the left"),
        ("drifting left", "drifts left"),
        ("going from right to left", "goes from right to left"),
        ("moving to the left", "moves to the left"),
        ("flying left", "flies left"),
    ),
    "right": (
        ("moving right", "moves right"),
        ("rolling right", "rolls right"),
        ("sliding to the right", "slides to the right"),
        ("drifting right", "drifts right"),
        ("going from left to right", "goes from left to right"),
        ("moving to the right", "moves to the right"),
        ("flying right", "flies right"),
    ),
    "up": (
        ("moving up", "moves up"),
        ("rising", "rises"),
        ("floating upwards", "floats upwards"),
        ("going up", "goes up"),
        ("flying up", "flies up"),
        ("climbing", "climbs"),
    ),
    "down": (
        ("moving down", "moves down"),
        ("falling", "falls"),
        ("dropping", "drops"),
        ("going down", "goes down"),
        ("sinking", "sinks"),
        ("falling down", "falls down"),
    ),
    "bounce": (
        ("bouncing", "bounces"),
        ("bouncing up and down", "bounces up and down"),
        ("hopping", "hops"),
        ("jumping", "jumps"),
        ("jumping up and down", "jumps up and down"),
    ),
    "circle": (
        ("moving in a circle", "moves in a circle"),
        ("circling", "circles"),
        ("going round in circles", "goes round in circles"),
        ("flying in circles", "flies in circles"),
        ("orbiting", "orbits"),
        ("turning in a loop", "turns in a loop"),
    ),
}
BACKGROUND_WORDS = {
    "meadow": (
        "over grass",
        "over a meadow",
        "over a green field",
        "in a meadow under a blue sky",
        "on the grass",
    ),
    "sunset": ("over grass at sunset", "at sunset", "in a meadow at sunset", "at dusk", "in the evening sun"),
    "beach": ("on a beach", "over sand", "at the beach", "over a sandy beach", "in the desert"),
    "snow": ("over snow", "in the snow", "on a snowy field", "in winter"),
    "night": ("at night", "in the dark", "on a dark night", "under a night sky"),
    "sea": ("over the sea", "over water", "above the ocean", "over blue water"),
    "wood": ("on a wooden floor", "in a room", "indoors", "over a wooden floor"),
    "grey": ("on a grey background", "over plain grey", "against a grey wall", "on a gray background"),
}
UNNAMED_SHAPE = ("shape", "thing", "object")

CHANCE_SIZE_SAID = {"small": 0.75, "medium": 0.35, "large": 0.75}
CHANCE_LEFT_OUT = 0.04


def caption(scene: Scene, rng: np.random.Generator, left_out: float = CHANCE_LEFT_OUT) -> str:
    """One sentence about the scene, lower case, at most about 20 words.

    `left_out` is the chance that motion or background is not said, and half of it that colour or shape is
    not; the size is often left out.
    """
    subject = _subject(scene, rng, left_out)
    doing, does = MOTION_WORDS[scene.motion][rng.integers(len(MOTION_WORDS[scene.motion]))]
    if rng.random() < left_out:
        doing = does = ""
    place = "" if rng.random() < left_out else _pick(BACKGROUND_WORDS[scene.background], rng)
    sentence = _arrange(int(rng.integers(7)), subject, doing, does, place)
    return " ".join(sentence.split()).replace(" ,", ",").strip(" ,")


def _subject(scene: Scene, rng: np.random.Generator, left_out: float) -> str:
    size = _pick(SIZE_WORDS[scene.size], rng) if rng.random() < CHANCE_SIZE_SAID[scene.size] else ""
    colour = "" if rng.random() < left_out / 2 else _pick(COLOUR_WORDS[scene.colour], rng)
    shape = _pick(UNNAMED_SHAPE if rng.random() < left_out / 2 else SHAPE_WORDS[scene.shape], rng)
    words = f"{size} {colour} {shape}".split()
    article = "an" if words[0][0] in "aeiou" else "a"
    return " ".join([article, *words])


def _arrange(order: int, subject: str, doing: str, does: str, place: str) -> str:
    if order <= 2:
        return f"{subject} {doing} {place}"
    if order == 3:
        return f"{subject} {does} {place}"
    if order == 4:
        return f"{place}, {subject} {does}"
    if order == 5:
        return f"{subject} {place}, {doing}"
    return f"a video of {subject} {doing} {place}"


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[rng.integers(len(options))]
