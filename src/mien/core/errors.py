"""Everything that mien refuses, as one tree.

::

    MienError
    ├── MediaError        a picture, video, camera or URL cannot be read
    │   └── PictureError  of mien.compat: a picture cannot be read, or has no face (also a ValueError)
    ├── DatasetError      a data set is missing, incomplete or malformed
    ├── ModelError        a model file is no ONNX, has no card, or does not fit
    ├── OutputError       a result cannot be written
    ├── WorkerError       a process that does part of the work was stopped or killed
    ├── OptionError       an option has a value that is not offered (also a ValueError)
    └── MissingExtraError a package of an optional extra is not installed (also an ImportError)

Every message is one line: what was given, what was expected, what cures it.
"""


class MienError(Exception):
    """Base of all errors that mien raises on purpose."""


class MediaError(MienError):
    """A picture, video, camera or URL cannot be read."""


class DatasetError(MienError):
    """A data set is missing, incomplete or malformed."""


class ModelError(MienError):
    """A model file is no ONNX, has no card, or does not fit."""


class OutputError(MienError):
    """A result cannot be written."""


class WorkerError(MienError):
    """A process that does part of the work was stopped or killed."""


class OptionError(MienError, ValueError):
    """An option or argument has a value that is not offered."""


class MissingExtraError(MienError, ImportError):
    """A package of an optional extra is not installed.

    Parameters
    ----------
    package : str
        The package that could not be imported.
    requirement : str
        What to give to pip: ``mien[analysis]``, ``mien[train]``, or the package where no extra brings it.
    """

    def __init__(self, package: str, requirement: str) -> None:
        super().__init__(f"{package} is not installed: pip install '{requirement}'")
