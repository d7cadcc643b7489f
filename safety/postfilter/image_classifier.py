"""A gate around an image classifier of the installation's own: its labels mean classes of frames by setting."""

from collections.abc import Mapping, Sequence

import numpy as np

from safety.postfilter.models import LoadedOnce, ModelFiles, ModelUnusable
from safety.postfilter.protocol import Finding, Look


class ImageClassifier:
    """`classes` says for each frame class which of the model's labels speak of it; the score is their probability.

    Labels that exclude one another are added up, so that a model may know several kinds of one class.
    """

    judges_unseen = True

    def __init__(
        self, id: str, version: str, files: ModelFiles, classes: Mapping[str, Sequence[str]]
    ) -> None:
        self.id, self.version = id, version
        self.classes = frozenset(classes)
        self._labels = {name: tuple(labels) for name, labels in classes.items()}
        self._model = LoadedOnce(files)

    def prepare(self, frame_class: str) -> Look:
        """Loads the model where it isn't yet. Raises ModelUnusable, also for a label that the model doesn't have."""
        known = self._model.network().labels
        wanted = self._labels[frame_class]
        missing = [label for label in wanted if label not in known]
        if missing or not wanted:
            raise ModelUnusable(f"{self.id} has no label {', '.join(missing) or 'for ' + frame_class}")
        places = [known.index(label) for label in wanted]

        def look(frames: np.ndarray) -> list[Finding]:
            chosen = self._model.run(frames)[:, places]
            return [_finding(row, wanted) for row in chosen]

        return look


def _finding(row: np.ndarray, labels: Sequence[str]) -> Finding:
    # Rounding in float32 may leave a sum a hair above 1; anything further is nonsense and is judged as that.
    score = float(row.sum())
    top = int(row.argmax())
    evidence = {"label": labels[top], "probability": round(float(row[top]), 4)}
    return Finding(1.0 if 1 < score < 1.001 else score, evidence)
