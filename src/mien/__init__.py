"""mien reads facial expressions from photos, videos and cameras: in real time, offline, on an ordinary computer.

::

    import mien
    faces = mien.analyze("photo.jpg")
    for result in mien.stream("talk.mp4"):
        print(result.time_s, result.faces.expressions)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.core.errors import MienError as MienError
    from mien.core.model import ModelCard as ModelCard
    from mien.core.types import Faces as Faces
    from mien.core.types import FrameResult as FrameResult
    from mien.engine.explain import Explanation as Explanation
    from mien.engine.pipeline import Pipeline as Pipeline
    from mien.engine.pipeline import analyze as analyze
    from mien.engine.pipeline import analyze_many as analyze_many
    from mien.engine.pipeline import explain as explain
    from mien.engine.pipeline import stream as stream
    from mien.engine.pipeline import watch as watch
    from mien.engine.recognizer import Recognizer as Recognizer
    from mien.engine.recognizer import load as load

__version__ = "0.1.0"

# Loaded at first use: OpenCV, PyAV and onnxruntime together take longer to import than mien may take.
_HOMES = {
    "Explanation": "mien.engine.explain",
    "Faces": "mien.core.types",
    "FrameResult": "mien.core.types",
    "MienError": "mien.core.errors",
    "ModelCard": "mien.core.model",
    "Pipeline": "mien.engine.pipeline",
    "Recognizer": "mien.engine.recognizer",
    "analyze": "mien.engine.pipeline",
    "analyze_many": "mien.engine.pipeline",
    "explain": "mien.engine.pipeline",
    "load": "mien.engine.recognizer",
    "stream": "mien.engine.pipeline",
    "watch": "mien.engine.pipeline",
}

__all__ = ["__version__", *sorted(_HOMES)]  # noqa: PLE0604  # names of _HOMES are strings


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
