"""Fresh Python processes, to see what this one is too old or too busy for."""

import os
import pathlib
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
SECONDS = 120  # Nothing in the tests takes as long, but a busy machine may


def start(*arguments, cwd=None, **variables):
    """Start a Python that finds the library wherever it runs.

    Of this process's environment it gets neither the number of threads, which
    the library has set, nor a run of several workers.

    Args:
        arguments: of the command line.
        cwd: the folder to run in, by default the present one.
        variables: more of its environment.

    Returns:
        subprocess.Popen: with pipes for text.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not (name.endswith('NUM_THREADS') or name.startswith('DMLC_'))
    }
    own = {'PYTHONPATH': ROOT, **variables}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**inherited, **{name: str(own[name]) for name in own}},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Shells let what they run in the background ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finish(process):
    """Wait for a process; gives its exit status and what it wrote."""
    try:
        out, err = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    return process.returncode, out, err


def python(*arguments, **options):
    """Start one, as `start` does, and wait for it, as `finish` does."""
    return finish(start(*arguments, **options))
