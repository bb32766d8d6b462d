"""What is measured on faces besides their expressions: nothing that was not asked for is opened or computed."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from mien.core.errors import OptionError
from mien.core.types import ByteArray, Faces
from mien.engine.baseline import Baseline, baseline_names
from mien.engine.explain import WHY_NAMES, Explainer
from mien.engine.features import FEATURE_NAMES, FeatureExtractor
from mien.engine.recognizer import Recognizer
from mien.engine.steadying import Steadier
from mien.face.landmarks import load_landmarker


@dataclass(frozen=True)
class Asked:
    """What is asked for besides expressions.

    Parameters
    ----------
    landmarks : bool
        Points of each face.
    features : bool
        Geometry, motion and texture.
    why : bool
        Part of each region in the answer.
    baseline_s : float
        Seconds of a person's resting face to measure and to correct answers by; 0 is none.

    Raises
    ------
    OptionError
        If `baseline_s` is no number, negative or not finite.
    """

    landmarks: bool = False
    features: bool = False
    why: bool = False
    baseline_s: float = 0.0

    def __post_init__(self) -> None:
        try:
            is_length = 0 <= self.baseline_s < inf
        except TypeError:
            is_length = False
        if not is_length:
            raise OptionError(f"baseline_s is {self.baseline_s!r}: expected seconds, 0 (off) or more")

    @property
    def needs_landmarks(self) -> bool:
        """Whether faces get landmarks, asked for or for what was."""
        return self.landmarks or self.features or self.why

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features that faces get, in their order."""
        names = (*(FEATURE_NAMES if self.features else ()), *(WHY_NAMES if self.why else ()))
        return (*names, *(baseline_names(names) if self.baseline_s else ()))


NOTHING = Asked()


def load_baseline(asked: Asked, recognizer: Recognizer) -> Baseline | None:
    """Return what learns the resting faces of one stream, None where it was not asked for."""
    return Baseline(asked.baseline_s, recognizer.card) if asked.baseline_s else None


class Measurer:
    """Measures what was asked for on the faces of one stream.

    Parameters
    ----------
    asked : Asked
    recognizer : Recognizer
        What reads the expressions.

    Raises
    ------
    ModelError
        If the landmark net is needed and cannot be read.
    MissingExtraError
        If features are asked for and scikit-image is not installed.
    """

    def __init__(self, asked: Asked, recognizer: Recognizer) -> None:
        self._landmarker = load_landmarker() if asked.needs_landmarks else None
        self._steadier = Steadier()
        self._extractor = FeatureExtractor() if asked.features else None
        self._explainer = Explainer(recognizer) if asked.why else None
        self._baseline = load_baseline(asked, recognizer)

    def cut(self) -> None:
        """Forget all that was seen: another scene begins."""
        for stage in (self._steadier, self._extractor, self._baseline):
            if stage is not None:
                stage.cut()

    def locate(self, picture: ByteArray, faces: Faces, time_s: float) -> Faces:
        """Return faces that were found with their landmarks, if these are needed.

        Parameters are those of :meth:`measure`.
        """
        if self._landmarker is None:
            return faces
        return self._steadier.update(self._landmarker.locate(picture, faces), time_s)

    def measure(self, picture: ByteArray, faces: Faces, time_s: float, source: str = "") -> Faces:
        """Return located faces with what was asked for.

        Parameters
        ----------
        picture : (H, W, 3) ndarray of uint8
            RGB.
        faces : Faces
            Faces of it.
        time_s : float
            Time of the frame in seconds.
        source : str
            What warnings name.
        """
        if self._extractor is not None:
            faces = self._extractor.update(picture, faces, time_s)
        if self._explainer is not None:
            faces = faces.measured(WHY_NAMES, self._explainer.update(picture, faces, time_s))
        if self._baseline is not None:
            faces = self._baseline.update(faces, time_s, source=source)
        return faces
