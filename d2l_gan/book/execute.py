"""Runs chapters in a kernel, and remembers what they put out."""

import contextlib
import json
import os
import pathlib
import platform
import re
import signal
import sys
import tempfile
import time
from concurrent import futures

import nbformat
from nbclient import NotebookClient, exceptions
from traitlets.config import Config

from d2l_gan.book.claims import with_values
from d2l_gan.book.imports import digest, imported_files
from d2l_gan.support import threads
from d2l_gan.support.files import drafted, write_text

__all__ = ['cache_key', 'execute', 'recall']

# MXNet's log goes to the page otherwise: "[12:34:56] ../src/... Using ...".
ENGINE_LOG = re.compile(r'^\[\d\d:\d\d:\d\d\] \S+\.cc:\d+: .*\n?', re.M)
MATPLOTLIBRC = pathlib.Path(__file__).parent / 'matplotlibrc'
DIED = 'the kernel died in this cell: was the memory full?'
ANSI = re.compile(r'\x1b\[[0-9;]*m')


def cache_key(book, chapter):
    """A digest of all that the outputs of a chapter depend on.

    These are its code, that of the library's modules which it imports,
    directly or through others, the versions of Python and of every installed
    package, the data set asked for, and this module. Prose, and the rest of
    the book and of the library, are not among them.
    """
    code = [cell.source for cell in chapter.program]
    files = imported_files(book.library, '\n'.join(code))
    library = [
        (str(path.relative_to(book.library)), path.read_text('utf-8'))
        for path in files
    ]
    data = [os.environ.get(f'D2L_GAN_{name}') for name in ('DATA', 'SIZE')]
    data.append(_data())
    own = pathlib.Path(__file__).read_text(encoding='utf-8')
    alone = chapter.name in book.alone
    return digest(code, library, platform.python_version(), data, own, alone)


def execute(book, cache, timeout=600, out=sys.stderr):
    """Run a book's cells and claims, but for chapters whose outputs are known.

    Chapters run side by side, one on each core. It computes with one thread,
    so that its numbers do not depend on how many cores there are. Those that
    time what they do run alone, after the others, and may take all cores.

    Args:
        book: the `Book`.
        cache: a folder; it keeps the last outputs of each chapter and data
            set.
        timeout: seconds that one cell may take.
        out: where progress is printed.

    Returns:
        dict: for the name of each chapter, a list of outputs (nbformat's, as
        dictionaries) for each code cell; a dict with what was found, for each
        claim that does not hold; the seconds that all cells took when they
        were run last; and the number of cells that were run now.

    Raises:
        BookError: if a cell raises, takes too long, or kills the kernel;
            it names the chapter, the cell and its line. Then, and at Ctrl-C,
            the kernels of all chapters end.
    """
    found, clients = {}, []

    def run(chapter):
        record = _execute(book, chapter, cache, timeout, out, clients)
        found[chapter.name] = record

    for alone, num_workers in (False, threads.cores()), (True, 1):
        with futures.ThreadPoolExecutor(num_workers) as pool:
            runs = [
                pool.submit(run, chapter)
                for chapter in book.chapters
                if (chapter.name in book.alone) == alone
            ]
            try:
                for future in futures.as_completed(runs):
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                _end(runs, clients)
                raise
    return found


def _end(runs, clients):
    """Kill the kernels, those that are just starting too."""
    while not all(run.done() for run in runs):
        for client in clients:
            # One that is just starting has no provisioner, or no group, yet.
            with contextlib.suppress(
                AttributeError, ProcessLookupError, TypeError
            ):
                os.killpg(client.km.provisioner.pgid, signal.SIGKILL)
        time.sleep(0.1)


def _execute(book, chapter, cache, timeout, out, clients):
    known = recall(book, chapter, cache)
    if known:
        told = f'nothing changed, its {len(chapter.program)} cells'
        print(f'{chapter.name}: {told} need not run', file=out)
        return *known, 0
    # What is edited while they run makes them run again.
    key, outputs = cache_key(book, chapter), []
    start = time.perf_counter()
    if chapter.program:
        outputs = _run(book, chapter, timeout, out, clients)
    seconds = time.perf_counter() - start
    record = {'key': key, 'outputs': outputs, 'seconds': seconds}
    write_text(_record(chapter, cache), json.dumps(record))
    return *_sorted(chapter, outputs), seconds, len(chapter.program)


def recall(book, chapter, cache):
    """What `execute` found of a chapter if nothing changed since, or `None`.

    Args:
        book, cache: as `execute` has them.
        chapter: of the book, or its solutions.

    Returns:
        tuple: the outputs of the code cells; what was found for each claim
        that does not hold; and the seconds that all cells took.
    """
    try:
        record = json.loads(_record(chapter, cache).read_text('utf-8'))
        if record['key'] == cache_key(book, chapter):
            return *_sorted(chapter, record['outputs']), record['seconds']
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no record, or not one of ours: make it anew
    return None


def _record(chapter, cache):
    return cache / f'{chapter.name}.{_data()}.json'


def _data():
    return re.sub(r'\W', '_', os.environ.get('D2L_GAN_DATASET') or 'digits')


def _sorted(chapter, outputs):
    """Tell the outputs of code from the failures of claims."""
    pairs = list(zip(chapter.program, outputs))
    failed = {
        cell: _told(output)
        for cell, found in pairs
        for output in found
        if cell.kind == 'claim' and output['output_type'] == 'error'
    }
    return [found for cell, found in pairs if cell.kind == 'code'], failed


def _told(error):
    """Say what a claim found; other errors than its own are named, too."""
    words = error['evalue'].strip()
    if words and error['ename'] == 'AssertionError':
        return words
    return f'{error["ename"]}: {words}'


def _run(book, chapter, timeout, out, clients):
    cells = list(map(_notebook_cell, chapter.program))
    notebook = nbformat.v4.new_notebook(cells=cells)
    progress = _Progress(chapter, out)
    # Sockets that are files: nobody on the network can reach the kernel.
    with drafted(tempfile.gettempdir(), is_folder=True) as folder:
        sockets = {'transport': 'ipc', 'ip': f'{folder}/kernel'}
        client = NotebookClient(
            notebook,
            timeout=timeout,
            shutdown_kernel='immediate',
            resources={'metadata': {'path': str(chapter.path.parent)}},
            config=Config({'KernelManager': sockets}),
        )
        clients.append(client)
        try:
            with client.setup_kernel(env=_environment(book, chapter)):
                for index, cell in enumerate(cells):
                    progress.start(index)
                    client.execute_cell(cell, index)
        except exceptions.CellExecutionError as error:
            raise progress.error(ANSI.sub('', error.traceback)) from None
        except exceptions.CellTimeoutError:
            told = f'this cell ran longer than {timeout} s; allow more with'
            told += ' `make chapter TIMEOUT=<seconds>`'
            raise progress.error(told) from None
        except exceptions.DeadKernelError:
            raise progress.error(DIED) from None
        finally:
            progress.stop()
    return [_tidy(cell.outputs) for cell in cells]


def _notebook_cell(cell):
    if cell.kind == 'code':
        return nbformat.v4.new_code_cell(cell.source)
    # All claims are to be heard, so none of them ends the run.
    metadata = {'tags': ['raises-exception']}
    source = with_values(cell.source)
    return nbformat.v4.new_code_cell(source, metadata=metadata)


def _environment(book, chapter):
    """The kernel's: it imports the library that lies beside the chapters.

    Its figures are the same files each time they are drawn: Matplotlib would
    write the date into them, and names that are drawn at random.
    """
    one_thread = chapter.name not in book.alone and threads.cores() > 1
    paths = [str(book.library.parent), os.environ.get('PYTHONPATH')]
    # Networks of the book are made for small images.
    environment = {'D2L_GAN_SIZE': '32', **os.environ}
    for name in ('D2L_GAN_DATA', 'D2L_GAN_DATASET'):
        # Chapters run in a folder of their own.
        if os.path.isdir(environment.get(name, '')):
            environment[name] = os.path.abspath(environment[name])
    return {
        **environment,
        'PYTHONPATH': os.pathsep.join(filter(None, paths)),
        'MATPLOTLIBRC': str(MATPLOTLIBRC),
        'SOURCE_DATE_EPOCH': '0',
        **({'OMP_NUM_THREADS': '1'} if one_thread else {}),
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
        self.chapter, self.out, self.index = chapter, out, 0
        self.began = time.perf_counter()

    def start(self, index):
        self.index = index
        cell = f'{self._cell()} (line {self.chapter.program[index].line})'
        seconds = time.perf_counter() - self.began
        end = '\r' if self.out.isatty() else '\n'
        self._print(f'{cell}, {seconds:.0f} s so far', end)

    def stop(self):
        seconds = time.perf_counter() - self.began
        self._print(f'{self.index + 1} cells, {seconds:.1f} s', '\n')

    def error(self, message):
        cell = self.chapter.program[self.index]
        told = f'{self._cell()}:\n{cell.source}\n\n{message}'
        return self.chapter.error(cell.line, told)

    def _cell(self):
        return f'cell {self.index + 1} of {len(self.chapter.program)}'

    def _print(self, told, end):
        line = f'{self.chapter.name}: {told}'
        print(f'{line:<70}', end=end, file=self.out, flush=True)
