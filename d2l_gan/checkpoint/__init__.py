"""Runs that can be interrupted and taken up again, and generators kept."""

from d2l_gan.checkpoint.folder import Checkpoint
from d2l_gan.checkpoint.generator import save_generator
from d2l_gan.checkpoint.progress import Progress
from d2l_gan.checkpoint.state import (
    inner_state,
    load_inner_state,
    load_network,
    state_of,
)

__all__ = [
    'Checkpoint',
    'Progress',
    'inner_state',
    'load_inner_state',
    'load_network',
    'save_generator',
    'state_of',
]
