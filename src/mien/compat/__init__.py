"""The calls of ``fer`` and ``deepface``, answered by mien: their shapes, label names and scales.

``from mien.compat import FER, Video`` stands for ``from fer import FER, Video``, and
``from mien.compat import DeepFace`` for ``from deepface import DeepFace``. Signatures are those of fer 20 to 25.10 and
of deepface 0.0.103. As there, each picture is read by itself, arrays are BGR, and boxes are x, y, width and height in
whole pixels. The largest face comes first, as by fer with its MTCNN. What differs: ``docs/migrate.md``.
"""

from mien.compat.deepface import DeepFace
from mien.compat.fer import FER, Video
from mien.compat.reading import PictureError

__all__ = ["FER", "DeepFace", "PictureError", "Video"]
