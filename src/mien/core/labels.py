"""The label sets, their one order, and the names that other data sets and libraries use for them."""

from mien.core.errors import OptionError

EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The seven expressions in the order of FER2013; every probability column of mien follows it."""

EXPRESSIONS_AND_CONTEMPT = (*EXPRESSIONS, "contempt")
"""The eight of FER+ and CK+."""

UNCERTAIN = "uncertain"
"""The answer where the top probability is below the threshold on the model's card."""

ALIASES = {
    "anger": "angry",
    "disgusted": "disgust",
    "afraid": "fear",
    "fearful": "fear",
    "happiness": "happy",
    "joy": "happy",
    "sadness": "sad",
    "surprised": "surprise",
    "contemptuous": "contempt",
}
"""Names of FER+, CK+, ``deepface`` and others, each with the name used here."""


def canonical(name: str) -> str:
    """Return mien's own name of an expression.

    Parameters
    ----------
    name : str
        Any spelling that a data set or library uses; case and surrounding space do not matter.

    Returns
    -------
    str
        One of :data:`EXPRESSIONS_AND_CONTEMPT`.

    Raises
    ------
    OptionError
        If the name is unknown.

    Examples
    --------
    >>> canonical("Happiness")
    'happy'
    """
    key = name.strip().lower()
    key = ALIASES.get(key, key)
    if key not in EXPRESSIONS_AND_CONTEMPT:
        known = ", ".join((*EXPRESSIONS_AND_CONTEMPT, *ALIASES))
        raise OptionError(f"unknown expression {name!r}: expected one of {known}")
    return key
