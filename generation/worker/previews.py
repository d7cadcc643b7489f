"""Early looks at a clip under way, as small pictures. They are shown only after the frame gates have passed them."""

import io

import numpy as np
from PIL import Image

QUALITY = 80
FRAMES_PER_SECOND = 4


def webp(frames: np.ndarray, fps: int = FRAMES_PER_SECOND) -> bytes:
    """uint8 RGB [k, height, width, 3] as WebP: a looping animation, or a still for one frame."""
    stills = [Image.fromarray(pixels) for pixels in frames]
    file = io.BytesIO()
    if len(stills) == 1:
        stills[0].save(file, format="WEBP", quality=QUALITY)
    else:
        duration_ms = round(1000 / fps)
        stills[0].save(
            file,
            format="WEBP",
            quality=QUALITY,
            save_all=True,
            append_images=stills[1:],
            duration=duration_ms,
            loop=0,
        )
    return file.getvalue()
