import os
import pathlib
import re
import subprocess

import nbformat
import pytest
from processes import ROOT

from d2l_gan.book.assignments import notebook
from d2l_gan.book.read import BookError, read_chapter

PYTHON = ROOT / '.venv-classroom' / 'bin' / 'python'
SOURCES = sorted((ROOT / 'assignments').glob('*.md'))
SOLUTION = re.compile(r'( *)### BEGIN SOLUTION.*?### END SOLUTION', re.S)
SMALL = """\
# Small

```{.python .input}
def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION
```

```{.python .input}
#@grade 2
assert double(1) == 2
### BEGIN HIDDEN TESTS
assert double(3) == 6
### END HIDDEN TESTS
```
"""


def test_cells_have_the_parts_that_nbgrader_gives_them(tmp_path):
    path = tmp_path / 'small.md'
    path.write_text(SMALL)
    made = notebook(read_chapter(path))
    nbformat.validate(made)
    text, answer, test = made.cells
    assert text.cell_type == 'markdown'
    assert answer.metadata.nbgrader == {
        'schema_version': 3, 'grade_id': 'cell-1', 'task': False,
        'grade': False, 'solution': True, 'locked': False,
    }  # fmt: skip
    assert test.metadata.nbgrader == {
        'schema_version': 3, 'grade_id': 'cell-2', 'task': False,
        'grade': True, 'solution': False, 'locked': True, 'points': 2,
    }  # fmt: skip
    assert test.source.startswith('assert double(1)')


@pytest.mark.parametrize('word', ['solution', 'test'])
def test_an_assignment_asks_and_tests(tmp_path, word):
    path = tmp_path / 'small.md'
    gone = {'solution': '### BEGIN SOLUTION\n', 'test': '#@grade 2\n'}
    path.write_text(SMALL.replace(gone[word], ''))
    with pytest.raises(BookError, match=rf'small\.md:1: .* has no {word}'):
        notebook(read_chapter(path))


def grade(path, answered):
    """The points that an answer to an assignment gets, and all there are."""
    names, points, best = {}, 0, 0
    for cell in notebook(read_chapter(path)).cells:
        if cell.cell_type != 'code':
            continue
        source = cell.source
        if not answered:
            source = SOLUTION.sub(r'\1raise NotImplementedError', source)
        worth = cell.metadata.nbgrader.get('points', 0)
        best += worth
        try:
            exec(source, names)
            points += worth
        except (AssertionError, NotImplementedError):
            assert worth
    return points, best


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: path.stem)
def test_solutions_get_all_points_and_nothing_gets_none(path):
    points, best = grade(path, True)
    assert points == best >= 7
    assert grade(path, False) == (0, best)
    text = path.read_text()
    assert text.count('### BEGIN HIDDEN TESTS') == text.count('#@grade') == 3


def run(folder):
    return subprocess.run(
        [PYTHON, '-m', 'd2l_gan.book', 'assignments', '--sources', folder,
         '--build', folder],
        capture_output=True, text=True, timeout=300, check=False, cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
    )  # fmt: skip


@pytest.mark.skipif(
    not PYTHON.exists(), reason='there is no nbgrader here: make assignments'
)
def test_nbgrader_grades_what_was_made(tmp_path):
    (tmp_path / 'small.md').write_text(SMALL)
    made = run(tmp_path)
    assert made.returncode == 0, made.stderr
    told = f'{tmp_path}/small.md: 2 of 2 points with its solution, 0 without'
    assert told in made.stdout
    release = pathlib.Path('assignments/release/small/small.ipynb')
    text = (tmp_path / release).read_text()
    assert 'double(1) == 2' in text and 'NotImplementedError' in text
    assert 'double(3)' not in text and 'return 2' not in text
    # A test that needs no answer is no test.
    easy = SMALL.replace('double(1) == 2', 'True').replace('double(3)', '6')
    (tmp_path / 'small.md').write_text(easy)
    made = run(tmp_path)
    assert made.returncode == 1
    assert '2 of 2 points with its solution, 2 without' in made.stderr
