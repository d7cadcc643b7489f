"""The procedural world that pocket-video learns: one coloured shape that moves over a simple background.

Pure numpy. A `Scene` names what a person would say about a clip; its seed fixes everything else (place,
speed, phase, exact size, tint, horizon), so a scene renders to the same pixels on every machine.
"""

from dataclasses import dataclass, replace

import numpy as np

FRAMES = 16
SIZE = 64
FPS = 8

SHAPES = ("circle", "square", "triangle", "star")
SIZES = ("small", "medium", "large")
MOTIONS = ("left", "right", "up", "down", "bounce", "circle")

# All object colours have a chroma (largest minus smallest channel) of at least 135 of 255 and all backgrounds
# one below 90, so that an object can be told from its background by its pixels alone.
COLOURS = {
    "red": (222, 38, 38),
    "orange": (248, 136, 16),
    "yellow": (246, 222, 36),
    "green": (36, 184, 60),
    "cyan": (36, 212, 220),
    "blue": (36, 66, 226),
    "purple": (138, 44, 200),
    "pink": (250, 106, 190),
}

# name: (sky at the top, sky at the horizon, ground at the horizon, ground at the bottom), RGB of 255.
BACKGROUNDS = {
    "meadow": ((146, 188, 226), (204, 222, 234), (118, 152, 98), (84, 118, 68)),
    "sunset": ((122, 92, 132), (224, 172, 140), (92, 108, 66), (56, 72, 44)),
    "beach": ((158, 200, 226), (214, 228, 232), (226, 208, 164), (204, 180, 134)),
    "snow": ((140, 150, 168), (186, 192, 204), (240, 243, 247), (222, 228, 236)),
    "night": ((10, 12, 28), (34, 38, 66), (26, 32, 30), (14, 18, 18)),
    "sea": ((184, 206, 220), (222, 230, 234), (74, 118, 146), (44, 84, 114)),
    "wood": ((206, 196, 182), (218, 210, 198), (150, 114, 84), (118, 86, 60)),
    "grey": ((132, 132, 132), (132, 132, 132), (132, 132, 132), (132, 132, 132)),
}

# Never seen together in training: they show whether colour and shape are learned apart from each other.
HELD_OUT_PAIRS = frozenset(
    {("purple", "square"), ("orange", "star"), ("cyan", "triangle"), ("pink", "circle")}
)

RADIUS_OF_SIZE = {"small": 10.5, "medium": 13.0, "large": 15.5}
# Half the extent of a shape of radius 1, chosen so that shapes of one radius look equally large.
EXTENT_OF_SHAPE = {"circle": 0.96, "square": 0.88, "triangle": 1.25, "star": 1.30}
STAR_INNER = 0.45
MOTION_REVERSED = {
    "left": "right",
    "right": "left",
    "up": "down",
    "down": "up",
    "bounce": "bounce",
    "circle": "circle",
}


@dataclass(frozen=True)
class Scene:
    """What a clip shows; `seed` fixes what the words leave open."""

    shape: str
    colour: str
    background: str
    motion: str
    size: str
    seed: int

    def reversed_in_time(self) -> "Scene":
        """The words that describe this clip played backwards (its frames are this scene's, last first)."""
        return replace(self, motion=MOTION_REVERSED[self.motion])


def draw_scene(rng: np.random.Generator, held_out: bool | None = False) -> Scene:
    """A random scene: held_out False leaves the held-out pairs away, True takes only them, None takes all."""
    while True:
        shape, colour = str(rng.choice(SHAPES)), str(rng.choice(list(COLOURS)))
        if held_out is None or ((colour, shape) in HELD_OUT_PAIRS) == held_out:
            break
    return Scene(
        shape=shape,
        colour=colour,
        background=str(rng.choice(list(BACKGROUNDS))),
        motion=str(rng.choice(MOTIONS)),
        size=str(rng.choice(SIZES)),
        seed=int(rng.integers(2**31)),
    )


def draw_scenes(count: int, seed: int, held_out: bool | None = False) -> list[Scene]:
    """`count` random scenes from one seed."""
    rng = np.random.default_rng(seed)
    return [draw_scene(rng, held_out) for _ in range(count)]


def shape_distance(shape: str, dx: np.ndarray, dy: np.ndarray, radius: float) -> np.ndarray:
    """Signed distance in pixels to the outline (negative inside) of a shape of `radius` around (0, 0), y
    down.

    Exact near the edges, which is all that anti-aliasing needs; corners are treated as the meeting of two
    lines.
    """
    if shape == "circle":
        return np.hypot(dx, dy) - EXTENT_OF_SHAPE["circle"] * radius
    if shape == "square":
        return np.maximum(np.abs(dx), np.abs(dy)) - EXTENT_OF_SHAPE["square"] * radius
    if shape == "triangle":
        inner = EXTENT_OF_SHAPE["triangle"] * radius / 2
        slanted = np.abs(dx) * (np.sqrt(3) / 2) - dy / 2
        return np.maximum(dy, slanted) - inner
    return _star_distance(dx, dy, EXTENT_OF_SHAPE["star"] * radius)


def _star_distance(dx: np.ndarray, dy: np.ndarray, outer: float) -> np.ndarray:
    """A five-pointed star with one tip up: fold the angle onto one edge, then a half-plane distance."""
    sector = np.pi / 5
    angle = np.abs((np.arctan2(dx, -dy) + sector) % (2 * sector) - sector)
    length = np.hypot(dx, dy)
    px, py = length * np.cos(angle), length * np.sin(angle)
    valley_x, valley_y = outer * STAR_INNER * np.cos(sector), outer * STAR_INNER * np.sin(sector)
    normal_x, normal_y = valley_y, outer - valley_x
    scale = np.hypot(normal_x, normal_y)
    return ((px - outer) * normal_x + py * normal_y) / scale


def _track(scene: Scene, rng: np.random.Generator, extent: float) -> tuple[np.ndarray, np.ndarray]:
    """Centre of the object in pixels at each of the FRAMES, always wholly inside the picture."""
    low, high = extent + 1.0, SIZE - extent - 1.0
    span = high - low
    steps = np.arange(FRAMES)
    if scene.motion == "circle":
        return _circle_track(rng, low, high, steps)
    still = np.full(FRAMES, rng.uniform(low, high))
    if scene.motion == "bounce":
        height = span * rng.uniform(0.6, 0.85)
        floor = high - rng.uniform(0, span - height)
        return still, floor - height * np.abs(np.sin(np.pi * (steps / 8.0 + rng.uniform())))
    distance = span * rng.uniform(0.75, 1.0)
    start = low + rng.uniform(0, span - distance)
    along = start + distance * steps / (FRAMES - 1)
    if scene.motion in ("left", "up"):
        along = along[::-1]
    return (along, still) if scene.motion in ("left", "right") else (still, along)


def _circle_track(rng: np.random.Generator, low: float, high: float, steps: np.ndarray):
    """One turn in FRAMES frames, either way round."""
    reach = min((high - low) / 2, 13.0) * rng.uniform(0.8, 1.0)
    centre_x, centre_y = rng.uniform(low + reach, high - reach, size=2)
    turn = 2 * np.pi * (steps / FRAMES * rng.choice((-1, 1)) + rng.uniform())
    return centre_x + reach * np.cos(turn), centre_y + reach * np.sin(turn)


def render_background(name: str, horizon: float = 0.62, light: float = 1.0) -> np.ndarray:
    """(SIZE, SIZE, 3) float32 in 0..255; `horizon` is the share of the height that is sky."""
    sky_top, sky_low, ground_high, ground_low = (np.array(c, np.float32) for c in BACKGROUNDS[name])
    row = np.arange(SIZE, dtype=np.float32)[:, None] + 0.5
    line = horizon * SIZE
    sky = sky_top + (sky_low - sky_top) * np.clip(row / line, 0, 1)
    ground = ground_high + (ground_low - ground_high) * np.clip((row - line) / (SIZE - line), 0, 1)
    covered = np.clip(row - line + 0.5, 0, 1)
    column = (sky * (1 - covered) + ground * covered) * light
    return np.repeat(column[:, None, :], SIZE, axis=1)


def render_with_masks(scene: Scene, frames: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Frames (n, SIZE, SIZE, 3) uint8 and the object's coverage (n, SIZE, SIZE) float32 in 0..1."""
    rng = np.random.default_rng(scene.seed)
    radius = RADIUS_OF_SIZE[scene.size] + rng.uniform(-0.7, 0.7)
    horizon, light = rng.uniform(0.56, 0.68), rng.uniform(0.94, 1.05)
    tint = np.array(COLOURS[scene.colour], np.float32) * rng.uniform(0.95, 1.02)
    centre_x, centre_y = _track(scene, rng, EXTENT_OF_SHAPE[scene.shape] * radius)
    if frames is not None:
        centre_x, centre_y = centre_x[frames], centre_y[frames]
    grid = np.arange(SIZE, dtype=np.float32) + 0.5
    dx = grid[None, None, :] - centre_x.astype(np.float32)[:, None, None]
    dy = grid[None, :, None] - centre_y.astype(np.float32)[:, None, None]
    dx, dy = np.broadcast_arrays(dx, dy)
    masks = np.clip(0.5 - shape_distance(scene.shape, dx, dy, radius), 0, 1).astype(np.float32)
    background = render_background(scene.background, horizon, light)
    pictures = background + masks[..., None] * (tint - background)
    return np.clip(np.rint(pictures), 0, 255).astype(np.uint8), masks


def render(scene: Scene, frames: np.ndarray | None = None) -> np.ndarray:
    """The clip, (FRAMES, SIZE, SIZE, 3) uint8, or only the given frame numbers of it."""
    return render_with_masks(scene, frames)[0]
