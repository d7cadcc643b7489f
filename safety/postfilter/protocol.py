"""What a gate is: something that looks at frames for one class and says how sure it is of what it sees.

A gate gives scores; thresholds decide what they mean (`judging.py`). So thresholds can change live, and a gate can't
deliver anything by itself. Classifiers of an installation's own are added by naming them in `SAFETY_GATES`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class Finding:
    """What a gate saw in one frame.

    `score` is 0 to 1: how sure the gate is that the frame is of the class it was asked for. `usable` False says that
    this gate can't judge this frame: that is never "clean". `available` False says that the gate couldn't look.
    `evidence` is small JSON for staff: numbers and ids, never a picture.
    """

    score: float
    evidence: dict = field(default_factory=dict)
    usable: bool = True
    available: bool = True


# Frames, uint8 RGB [frames, height, width, 3], to one finding per frame in the same order.
Look = Callable[[np.ndarray], Sequence[Finding]]


class Gate(Protocol):
    """One plug-in. It is made once per process, without arguments, and must be safe to use from several threads."""

    id: str
    version: str
    classes: frozenset[str]  # the frame classes it can be asked for
    judges_unseen: bool  # can it judge a picture that nobody registered or painted? Canaries and lists can't.
    # A gate that also has `sees_faces = True` counts the faces in a frame: in its evidence for likeness, as `faces`.

    def prepare(self, frame_class: str) -> Look | None:
        """What to call with the frames; called in the scan's own thread, so it may read the database.

        None: the gate has nothing to compare with for this class and takes no part in it. The look itself runs in a
        thread with a deadline, must not touch the database, and may raise: whatever it raises makes the scan
        unavailable.
        """
        ...
