"""Names that are not there."""

import difflib

__all__ = ['suggestion']


def suggestion(name, names, otherwise):
    """Name what may have been meant by a name that is not there.

    Args:
        name: what was asked for.
        names: those that there are.
        otherwise: what to say where none is alike.

    Returns:
        str
    """
    near = difflib.get_close_matches(name, names, 1)
    return f'did you mean {near[0]!r}?' if near else otherwise
