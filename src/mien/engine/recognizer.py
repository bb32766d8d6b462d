"""From face crops to calibrated probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from os import PathLike
from pathlib import Path

import numpy as np

from mien.core import preprocess
from mien.core.errors import ModelError, OptionError
from mien.core.model import Model, ModelCard
from mien.core.types import ByteArray, Faces, FloatArray

FLOAT_FOLDER = "float"  # beside nets of integers: those that they were made from
BATCH = 64  # faces in one run of the net: memory stays flat for folders of thousands


class Recognizer:
    """A net that reads expressions; may be shared by threads.

    Parameters
    ----------
    model : Model
        An opened model file.

    Examples
    --------
    >>> import numpy as np
    >>> recognizer = load("default")
    >>> recognizer.probabilities([np.zeros((90, 80, 3), np.uint8)]).shape
    (1, 7)
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    def __repr__(self) -> str:
        return f"<Recognizer {self.card.name!r}, version {self.card.version}>"

    @property
    def card(self) -> ModelCard:
        """The card inside the model file."""
        return self.model.card

    def probabilities(self, crops: Sequence[ByteArray] | ByteArray) -> FloatArray:
        """Return the probability of each expression for each crop.

        Parameters
        ----------
        crops : sequence of (H, W) or (H, W, 3) ndarray of uint8, or one (N, H, W) or (N, H, W, 3) ndarray
            Faces framed as FER2013 frames them, gray or RGB, of any size; only those of another size than the card's
            are resized.

        Returns
        -------
        (N, K) ndarray of float32
            Calibrated, rows sum to 1, columns as ``card.labels``; (0, K) for no crops.

        Raises
        ------
        OptionError
            If a crop is no array, is not uint8 or has another shape, or one crop is given alone: it goes in a list.
        """
        faces = preprocess.batch(crops, self.card.input_size)
        starts = range(0, max(len(faces), 1), BATCH)
        return np.concatenate([self.model.run(faces[start : start + BATCH]) for start in starts])

    def answer(self, faces: Faces, probabilities: FloatArray) -> Faces:
        """Return faces with these probabilities, and the expressions that follow by the card's threshold."""
        return faces.recognized(probabilities, self.card.labels, uncertain_below=self.card.uncertain_below)


def model_names() -> tuple[str, ...]:
    """Return the names of the nets that ship with mien."""
    names = (entry.name for entry in resources.files("mien.weights").iterdir())
    nets = (name.removesuffix(".onnx") for name in names if name.endswith(".onnx"))
    return tuple(sorted(name for name in nets if name != "landmarks"))  # which reads no expressions


def model_path(name_or_path: str | Path) -> Path:
    """Return the file of a net that ships with mien, or the path as it is.

    Raises
    ------
    ModelError
        If it is neither a name nor a file.
    OptionError
        If it is neither a string nor a path.
    """
    if not isinstance(name_or_path, (str, PathLike)):
        raise OptionError(f"model is a {type(name_or_path).__name__}: expected a name or a path to an .onnx file")
    if str(name_or_path) in model_names():
        return Path(str(resources.files("mien.weights").joinpath(f"{name_or_path}.onnx")))
    if Path(name_or_path).is_file():
        return Path(name_or_path)
    raise ModelError(f"no model {str(name_or_path)!r}: expected {', '.join(model_names())} or a path to an .onnx file")


def float_path(path: Path) -> Path:
    """Return the file itself if its weights are real numbers, else that of the net it was made from.

    Raises
    ------
    ModelError
        If it is no model file of mien, or holds integers and no ``float/`` folder beside it has the net.
    """
    if not Model(path).card.is_quantized:
        return path
    real = path.parent / FLOAT_FOLDER / path.name
    if not real.exists():
        raise ModelError(f"{path.name}: holds integers: expected real numbers, as mien export writes without --int8")
    return real


def load(
    name_or_path: str | Path = "default", *, threads: int | None = None, providers: Sequence[str] | None = None
) -> Recognizer:
    """Open a net.

    Parameters
    ----------
    name_or_path : str or path_like
        ``"default"`` (what users get), ``"fer2013"`` (original labels, for comparison with the literature),
        ``"paper"`` (the paper's net), or a path to an ``.onnx`` file written by ``mien export``.
    threads : int, optional
        Threads of one run; by default one.
    providers : sequence of str, optional
        Execution providers of onnxruntime, in order of preference; by default the CPU.

    Raises
    ------
    ModelError
        If there is no such model, or the file is no model of mien.
    OptionError
        If it is neither a string nor a path.
    """
    return Recognizer(Model(model_path(name_or_path), threads=threads, providers=providers))
