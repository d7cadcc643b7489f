"""People and gates for the tests of live policy."""

import uuid

from accounts import staff
from accounts.models import StaffRole, User
from safety.models import FrameClass
from safety.postfilter.protocol import Finding


def guardian() -> User:
    """A member of trust & safety."""
    user = User.objects.create_user(f"safety-{uuid.uuid4().hex[:8]}@example.com")
    staff.grant(user, StaffRole.Role.TRUST_SAFETY, "test", "for this test")
    return user


class Painted:
    """A gate whose scores are painted into the frames: the first pixel of row n is the score of class n, times 255.

    The blue of the likeness pixel names the kind of person: 0 none, 1 private, 2 public figure, 3 politician.
    """

    id = "painted"
    version = "1"
    classes = frozenset(FrameClass.values)
    judges_unseen = True
    KINDS = ("", "private_person", "public_figure", "politician")

    def prepare(self, frame_class):
        row = FrameClass.values.index(frame_class)

        def look(frames):
            return [self._finding(frame[row, 0], frame_class) for frame in frames]

        return look

    def _finding(self, pixel, frame_class):
        kind = self.KINDS[int(pixel[2])] if frame_class == "likeness" else ""
        return Finding(round(int(pixel[0]) / 255, 4), {"likeness_kind": kind} if kind else {})


class PaintedFaces(Painted):
    """As `Painted`, and it counts faces: the green of the likeness pixel; 255 means that it can't tell."""

    id = "painted-faces"
    sees_faces = True

    def _finding(self, pixel, frame_class):
        found = super()._finding(pixel, frame_class)
        if frame_class != "likeness":
            return found
        faces = int(pixel[1])
        return Finding(found.score, {**found.evidence, "faces": faces if faces < 255 else None})


def paint(frames, index, frame_class, score, *, kind="", faces=0):
    """Write a score into a frame, as `Painted` reads it."""
    blue = Painted.KINDS.index(kind)
    frames[index, FrameClass.values.index(frame_class), 0] = (round(score * 255), faces, blue)
    return frames


class Light:
    """A gate whose score for class n is the light of the n-th quarter of a frame, from above: it survives encoding.

    The light of a frame's right half says whose likeness it is. The same file always gets the same scores.
    """

    id = "light"
    version = "1"
    classes = frozenset(FrameClass.values)
    judges_unseen = True

    def prepare(self, frame_class):
        quarter = FrameClass.values.index(frame_class)

        def look(frames):
            return [self._finding(frame, quarter, frame_class) for frame in frames]

        return look

    def _finding(self, frame, quarter, frame_class):
        height = len(frame) // 4
        part = frame[quarter * height : (quarter + 1) * height, : frame.shape[1] // 2]
        score = round(float(part.mean()) / 255, 3)
        if frame_class != "likeness":
            return Finding(score)
        kind = Painted.KINDS[int(frame[:, frame.shape[1] // 2 :].mean()) // 64 % 4]
        return Finding(score, {"likeness_kind": kind} if kind else {})
