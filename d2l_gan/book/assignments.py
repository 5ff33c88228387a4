"""Makes graded notebooks out of d2l markdown, and proves them by nbgrader.

A code cell with `### BEGIN SOLUTION` is for the student to fill. One whose
first line is `#@grade POINTS` tests it; what stands there between `### BEGIN
HIDDEN TESTS` and `### END HIDDEN TESTS` no student sees.
"""

import os
import re
import shutil
import sys
import tempfile
import time
import warnings

import nbformat
from traitlets.config import Config

from d2l_gan.book.read import BookError, read_chapter
from d2l_gan.support.files import drafted, write_text

__all__ = ['assignments', 'notebook']

GRADE = re.compile(r'\A# *@grade +(\d+)\n')


def notebook(chapter):
    """The notebook of an assignment, with its solution and all tests.

    Args:
        chapter: a `Chapter`.

    Returns:
        nbformat.NotebookNode: its cells have nbgrader's metadata.

    Raises:
        BookError: if nothing is asked, or nothing is tested.
    """
    new, cells, roles = nbformat.v4, [], set()
    for i, cell in enumerate(chapter.cells):
        if cell.kind == 'text':
            cells.append(new.new_markdown_cell(cell.source, id=f'cell-{i}'))
            continue
        points = GRADE.match(cell.source)
        source = GRADE.sub('', cell.source)
        solution = '### BEGIN SOLUTION' in source
        facts = {
            'schema_version': 3,
            'grade_id': f'cell-{i}',
            'task': False,
            'grade': bool(points),
            'solution': solution,
            'locked': not solution,
        }
        if points:
            facts['points'] = int(points[1])
        made = new.new_code_cell(source, id=f'cell-{i}')
        made.metadata.nbgrader = facts
        cells.append(made)
        roles |= {'solution'} if solution else {'test'} if points else set()
    for role in ('solution', 'test'):
        if role not in roles:
            raise chapter.error(1, f'this assignment has no {role}')
    kernel = {'name': 'python3', 'display_name': 'Python 3'}
    return new.new_notebook(cells=cells, metadata={'kernelspec': kernel})


def assignments(folder, course, out=sys.stdout):
    """Make all assignments of a folder, and hand in two answers to each.

    nbgrader grades the solution, which has to get all points, and what
    students begin with, which has to get none.

    Args:
        folder: of the markdown files.
        course: nbgrader's folder, made anew; `release` in it is for students.
        out: where the marks are printed.

    Raises:
        BookError: if nbgrader fails, or gives other marks.
    """
    # Here, since a notebook can be made without it.
    from nbgrader.apps import NbGraderAPI

    # It starts the `alembic` that it finds there.
    own = os.path.dirname(sys.executable)
    os.environ['PATH'] = os.pathsep.join((own, os.environ['PATH']))
    warnings.filterwarnings('ignore', module=r'nbgrader\.')
    shutil.rmtree(course, ignore_errors=True)
    course.mkdir(parents=True)
    with drafted(tempfile.gettempdir(), is_folder=True) as sockets:
        settings = {
            'CourseDirectory': {'root': str(course.resolve())},
            'ExecutePreprocessor': {'timeout': 120},
            # Sockets that are files: nobody on the network reaches kernels.
            'KernelManager': {'transport': 'ipc', 'ip': f'{sockets}/kernel'},
        }
        api = NbGraderAPI(config=Config(settings))
        for path in sorted(folder.glob('*.md')):
            start = time.perf_counter()
            source = course / 'source' / path.stem / f'{path.stem}.ipynb'
            write_text(source, nbformat.writes(notebook(read_chapter(path))))
            _check(path, api.generate_assignment(path.stem))
            full, best = _marks(api, course, path, 'source')
            least, _ = _marks(api, course, path, 'release')
            told = f'{path}: {full:g} of {best:g} points with its solution, '
            told += f'{least:g} without'
            if (full, least) != (best, 0):
                raise BookError(told)
            seconds = time.perf_counter() - start
            print(f'{told} ({seconds:.0f} s)', file=out, flush=True)
    print(f'For students: {course / "release"}', file=out)


def _marks(api, course, path, student):
    """The points of one who hands in what lies in that folder, and all."""
    name = path.stem
    answer = course / 'submitted' / student / name
    shutil.copytree(course / student / name, answer)
    _check(path, api.autograde(name, student))
    found = api.get_submission(name, student)
    return found['score'], found['max_score']


def _check(path, result):
    if not result['success']:
        why = result.get('log') or result.get('error')
        raise BookError(f'{path}: nbgrader failed:\n{why}')
