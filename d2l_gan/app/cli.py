"""The command line: `d2l-gan`, or `python -m d2l_gan`."""

import contextlib
import importlib
import os
import sys

from d2l_gan.app.options import DELEGATED, parse
from d2l_gan.cluster import peers

__all__ = ['main']


def main(arguments=None):
    """Run the command line.

    Args:
        arguments: a list of strings; those of the process if `None`.

    Returns:
        int: the exit status.

    Raises:
        SystemExit: with 2 if the arguments are wrong, with 0 after `--help`.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    command = arguments[0] if arguments else ''
    if command in DELEGATED:
        module = importlib.import_module(DELEGATED[command][0])
        return module.main(arguments[1:], f'd2l-gan {command}')
    # Names of files may be more than what can be printed.
    with contextlib.suppress(AttributeError):
        sys.stdout.reconfigure(errors='backslashreplace')
    options = parse(arguments)
    try:
        # Not above, since it imports MXNet, which takes seconds
        from d2l_gan.app.commands import COMMANDS

        status = COMMANDS[options.command](options)
        if status:
            peers.leave(status)
        peers.end()  # This process has done its part in a distributed run.
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # as by `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print('\ninterrupted', file=sys.stderr)
        return 130
    # What users can mend is raised as one of these, with a message for them.
    except (OSError, ValueError, FloatingPointError) as error:
        text = str(error)
        if isinstance(error, OSError) and error.strerror:
            where = f': {error.filename}' if error.filename else ''
            text = f'{error.strerror}{where}'
        print(f'd2l-gan: error: {text}', file=sys.stderr)
        return 1
    except (MemoryError, RuntimeError) as error:
        # MXNet's errors are of one class, whatever they are about.
        full = 'alloc' in str(error) or 'start new thread' in str(error)
        if isinstance(error, RuntimeError) and not full:
            raise
        print(
            'd2l-gan: error: the memory is full: end other programs, or take '
            'smaller images by --size',
            file=sys.stderr,
        )
        return 1
