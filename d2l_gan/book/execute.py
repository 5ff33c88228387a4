"""Runs chapters in a kernel, and remembers what they put out."""

import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import sys
import tempfile
import time

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import (
    CellExecutionError,
    CellTimeoutError,
    DeadKernelError,
)
from traitlets.config import Config

from d2l_gan.book.claims import with_values
from d2l_gan.book.imports import imported_files
from d2l_gan.support.files import write_text

__all__ = ['cache_key', 'execute']

# MXNet's log goes to the page otherwise: "[12:34:56] ../src/... Using ...".
ENGINE_LOG = re.compile(r'^\[\d\d:\d\d:\d\d\] \S+\.cc:\d+: .*\n?', re.M)
MATPLOTLIBRC = pathlib.Path(__file__).parent / 'matplotlibrc'
ANSI = re.compile(r'\x1b\[[0-9;]*m')


def cache_key(book, chapter):
    """A digest of all that the outputs of a chapter depend on.

    These are its code, that of the library's modules which it imports,
    directly or through others, the versions of Python and of every installed
    package, the data set asked for, and this module. Prose, and the rest of
    the book and of the library, are not among them.
    """
    code = [cell.source for cell in chapter.program]
    library = imported_files(book.library, '\n'.join(code))
    packages = sorted(
        f'{dist.name}=={dist.version}'
        for dist in importlib.metadata.distributions()
    )
    facts = [
        code,
        [
            (str(path.relative_to(book.library)), path.read_text('utf-8'))
            for path in library
        ],
        packages,
        platform.python_version(),
        _data(),
        os.environ.get('D2L_GAN_DATA'),
        pathlib.Path(__file__).read_text(encoding='utf-8'),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def execute(book, chapter, cache, timeout=600, out=sys.stderr):
    """Run a chapter's cells and claims, unless the cache has their outputs.

    Args:
        book: the `Book`.
        chapter: one of its chapters.
        cache: a folder; it keeps the last outputs of each chapter and data
            set.
        timeout: seconds that one cell may take.
        out: where progress is printed.

    Returns:
        tuple: a list of outputs (nbformat's, as dictionaries) for each code
        cell; a dict with what was found, for each claim that does not hold;
        and the number of cells that were run.

    Raises:
        BookError: if a cell raises, takes too long, or kills the kernel;
            it names the chapter, the cell and its line.
    """
    path = cache / f'{chapter.name}.{_data()}.json'
    key = cache_key(book, chapter)
    try:
        record = json.loads(path.read_text(encoding='utf-8'))
        if record['key'] == key:
            print(
                f'{chapter.name}: nothing changed, its '
                f'{len(chapter.program)} cells need not run',
                file=out,
            )
            return *_sorted(chapter, record['outputs']), 0
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no record, or not one of ours: make it anew
    outputs = _run(book, chapter, timeout, out) if chapter.program else []
    write_text(path, json.dumps({'key': key, 'outputs': outputs}))
    return *_sorted(chapter, outputs), len(chapter.program)


def _data():
    return re.sub(r'\W', '_', os.environ.get('DATA') or 'digits')


def _sorted(chapter, outputs):
    """Tell the outputs of code from the failures of claims."""
    pairs = list(zip(chapter.program, outputs))
    failed = {
        cell: output['evalue'].strip() or output['ename']
        for cell, found in pairs
        for output in found
        if cell.kind == 'claim' and output['output_type'] == 'error'
    }
    return [found for cell, found in pairs if cell.kind == 'code'], failed


def _run(book, chapter, timeout, out):
    notebook = nbformat.v4.new_notebook(
        cells=list(map(_notebook_cell, chapter.program))
    )
    progress = _Progress(chapter, out)
    # Sockets that are files: nobody on the network can reach the kernel.
    with tempfile.TemporaryDirectory() as folder:
        sockets = {'transport': 'ipc', 'ip': f'{folder}/kernel'}
        client = NotebookClient(
            notebook,
            kernel_name='python3',
            timeout=timeout,
            record_timing=False,
            shutdown_kernel='immediate',
            resources={'metadata': {'path': str(chapter.path.parent)}},
            config=Config({'KernelManager': sockets}),
        )
        try:
            # Not `client.execute()`, which makes an error of Ctrl-C.
            with client.setup_kernel(env=_environment(book)):
                for index, cell in enumerate(notebook.cells):
                    progress.start(index)
                    client.execute_cell(cell, index)
        except CellExecutionError as error:
            raise progress.error(ANSI.sub('', error.traceback)) from None
        except CellTimeoutError:
            raise progress.error(
                f'this cell ran longer than {timeout} s; '
                'allow more with `make chapter TIMEOUT=<seconds>`'
            ) from None
        except DeadKernelError:
            raise progress.error('the kernel died in this cell') from None
        finally:
            progress.stop()
    return [_tidy(cell.outputs) for cell in notebook.cells]


def _notebook_cell(cell):
    if cell.kind == 'code':
        return nbformat.v4.new_code_cell(cell.source)
    # All claims are to be heard, so none of them ends the run.
    metadata = {'tags': ['raises-exception']}
    source = with_values(cell.source)
    return nbformat.v4.new_code_cell(source, metadata=metadata)


def _environment(book):
    """The kernel's: it imports the library that lies beside the chapters.

    Its figures are the same files each time they are drawn: Matplotlib would
    write the date into them, and names that are drawn at random.
    """
    paths = [str(book.library.parent), os.environ.get('PYTHONPATH')]
    return {
        **os.environ,
        'PYTHONPATH': os.pathsep.join(filter(None, paths)),
        'MATPLOTLIBRC': str(MATPLOTLIBRC),
        'SOURCE_DATE_EPOCH': '0',
    }


def _tidy(outputs):
    """Join what a stream printed in pieces; leave out the engine's log."""
    tidy = []
    for output in outputs:
        name = output.get('name')
        if name and tidy and tidy[-1].get('name') == name:
            tidy[-1].text += output.text
        else:
            tidy.append(output)
    for output in tidy:
        if output.get('name') == 'stderr':
            output.text = ENGINE_LOG.sub('', output.text)
    return [output for output in tidy if output.get('text', True)]


class _Progress:
    """A line a cell; on a terminal the lines replace each other."""

    def __init__(self, chapter, out):
        self.chapter, self.out = chapter, out
        self.began = time.perf_counter()
        self.index = 0

    def start(self, index):
        self.index = index
        cell = self.chapter.program[index]
        end = '\r' if self.out.isatty() else '\n'
        seconds = time.perf_counter() - self.began
        line = (
            f'{self.chapter.name}: cell {index + 1} of '
            f'{len(self.chapter.program)} (line {cell.line}), '
            f'{seconds:.0f} s so far'
        )
        print(f'{line:<70}', end=end, file=self.out, flush=True)

    def stop(self):
        seconds = time.perf_counter() - self.began
        line = f'{self.chapter.name}: {self.index + 1} cells, {seconds:.1f} s'
        print(f'{line:<70}', file=self.out, flush=True)

    def error(self, message):
        cell = self.chapter.program[self.index]
        return self.chapter.error(
            cell.line,
            f'cell {self.index + 1} of {len(self.chapter.program)}:\n'
            f'{cell.source}\n\n{message}',
        )
