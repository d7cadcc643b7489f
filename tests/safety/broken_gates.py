"""Gates that fail in every way a plug-in can, for `SAFETY_GATES`."""

import threading
import time

from safety.models import FrameClass
from safety.postfilter.protocol import Finding

HANGS_S = 30


class Attentive:
    """Judges every frame of every class as harmless; remembers what it was shown."""

    id = "attentive"
    version = "1"
    classes = frozenset(FrameClass.values)
    judges_unseen = True

    def __init__(self):
        self.seen = {}
        self.threads = set()

    def prepare(self, frame_class):
        def look(frames):
            self.seen[frame_class] = self.seen.get(frame_class, 0) + len(frames)
            self.threads.add(threading.current_thread())
            return [Finding(0.0)] * len(frames)

        return look


class ChildSafetyOnly(Attentive):
    id = "child-safety-only"
    classes = frozenset({FrameClass.CHILD_SAFETY})


class SampledOnly(Attentive):
    id = "sampled-only"
    classes = frozenset({FrameClass.LIKENESS, FrameClass.INTIMATE, FrameClass.VIOLENCE})


class Failing(Attentive):
    """Breaks for one class; each subclass in its own way."""

    id = "failing"
    breaks = FrameClass.CHILD_SAFETY

    def prepare(self, frame_class):
        return super().prepare(frame_class) if frame_class != self.breaks else self.broken

    def broken(self, frames):
        raise RuntimeError("the model fell over")


class FailingOnViolence(Failing):
    breaks = FrameClass.VIOLENCE


class Hung(Failing):
    def broken(self, frames):
        time.sleep(HANGS_S)


class HungOnIntimate(Hung):
    breaks = FrameClass.INTIMATE


class Dying(Failing):
    """The thread ends without an answer."""

    def broken(self, frames):
        raise SystemExit(9)


class Mute(Failing):
    def broken(self, frames):
        return None


class TooFew(Failing):
    def broken(self, frames):
        return [Finding(0.0)] * (len(frames) - 1)


class Nonsense(Failing):
    def broken(self, frames):
        return ["clean"] * len(frames)


class NotANumber(Failing):
    def broken(self, frames):
        return [Finding(float("nan"))] * len(frames)


class OutOfRange(Failing):
    def broken(self, frames):
        return [Finding(-3.0)] * len(frames)


class Unavailable(Failing):
    def broken(self, frames):
        return [Finding(0.0, available=False)] * len(frames)


class Unusable(Failing):
    def broken(self, frames):
        return [Finding(0.0, usable=False)] * len(frames)


class Unprepared(Failing):
    def prepare(self, frame_class):
        raise FileNotFoundError("no weights")


class Unsure(Attentive):
    """Gives the score that the test sets, for violence, to the frames the test names by their first pixel."""

    id = "unsure"
    score = 0.7

    def prepare(self, frame_class):
        if frame_class != FrameClass.VIOLENCE:
            return super().prepare(frame_class)
        return lambda frames: [Finding(self.score if frame[0, 0, 0] == 255 else 0.0) for frame in frames]
