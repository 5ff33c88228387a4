"""Memory that is not needed any more."""

import ctypes

__all__ = ['give_back']


def give_back():
    """Give free memory back to the system, where the C library can do so.

    By itself it keeps what lies between pieces that are in use.
    """
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if trim is not None:
        trim(0)
