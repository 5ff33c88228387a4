import io
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time

import pytest

from d2l_gan.book.execute import cache_key, execute
from d2l_gan.book.imports import imported_files
from d2l_gan.book.read import BookError, read_book
from d2l_gan.support import threads

ROOT = pathlib.Path(__file__).parent.parent

CHAPTER = """\
# One

```{.python .input}
import sys
print('one', end=' ')
sys.stdout.flush()
print('two')
print('[12:34:56] ../src/storage/a.cc:19: Using this', file=sys.stderr)
```

```{.python .input}
from IPython.display import display
handle = display('first', display_id=True)
handle.update('last')
```
"""


@pytest.fixture
def run(tmp_path):
    """Execute the first chapter of a book; gives outputs, count and log."""

    def run(folder, **options):
        book, log = read_book(folder), io.StringIO()
        found = execute(book, tmp_path / 'cache', out=log, **options)
        outputs, failed, seconds, count = found[book.chapters[0].name]
        assert not failed and seconds > 0
        return outputs, count, log.getvalue()

    return run


def test_outputs_are_tidy_and_remembered(make_book, run, monkeypatch):
    folder = make_book(CHAPTER)
    outputs, count, log = run(folder)
    # One stream, without the engine's log; one display, with its last value.
    assert [output['text'] for output in outputs[0]] == ['one two\n']
    assert [o['data']['text/plain'] for o in outputs[1]] == ["'last'"]
    assert count == 2
    assert 'cell 1 of 2 (line 4)' in log and 'cell 2 of 2 (line 12)' in log

    again, count, log = run(folder)
    assert (json.dumps(again), count) == (json.dumps(outputs), 0)
    assert 'nothing changed' in log

    # Prose does not count, code and data set do.
    folder = make_book(CHAPTER.replace('# One', '# Another\n\nNew prose.'))
    assert run(folder)[1] == 0
    monkeypatch.setenv('D2L_GAN_DATASET', 'mnist')
    assert run(folder)[1] == 2
    monkeypatch.delenv('D2L_GAN_DATASET')
    assert run(folder)[1] == 0
    folder = make_book(CHAPTER.replace("'two'", "'three'"))
    assert run(folder)[1] == 2


# Of a library, from the chapter's own code on
IMPORTS = {
    'lib/__init__.py': 'import lib.first',
    'lib/first.py': '',
    'lib/folder/__init__.py': 'from .inner import x',
    'lib/folder/inner.py': 'def x():\n    from lib import late',
    'lib/late.py': 'from lib.folder import (\n    inner,\n    other,\n)',
    'lib/folder/other.py': '',
    'lib/folder/page.css': '',
    'lib/folder/page.js': '',
    'lib/program.py': '',
    'lib/unused.py': 'from lib.folder import x',
    'lib/app/cli.py': '',
    'lib/app/page.js': '',
}


def test_a_chapter_runs_again_after_its_modules_were_edited(make_book):
    folder = make_book(
        '# One\n\n```{.python .input}\n%matplotlib inline\n'
        'from lib.folder import x\nprint(x)\n'
        "program = f'import lib.program; {x.__name__}'\n```\n",
        **{f'../{name}': text for name, text in IMPORTS.items()},
    )
    book = read_book(folder)
    key = cache_key(book, book.chapters[0])
    for name in IMPORTS:
        path = folder.parent / name
        path.write_text(f'{path.read_text()}\n# edited')
        old, key = key, cache_key(book, book.chapters[0])
        unused = name.startswith(('lib/unused', 'lib/app'))
        assert (key == old) == unused, name


def test_an_edit_of_the_command_line_runs_no_chapter():
    book = read_book(ROOT / 'chapters')
    for chapter in filter(lambda chapter: chapter.code, book.chapters):
        code = '\n'.join(cell.source for cell in chapter.code)
        names = {
            str(path.relative_to(book.library))
            for path in imported_files(book.library, code)
        }
        assert {'__init__.py', 'support/checks.py', 'run.py'} <= names
        assert not any(name.startswith(('app/', 'book/')) for name in names)


def test_figures_are_the_same_files_again(make_book, run, tmp_path):
    folder = make_book(
        '# One\n\n```{.python .input}\n%matplotlib inline\n'
        'import matplotlib.pyplot as plt\n'
        'from matplotlib_inline.backend_inline import set_matplotlib_formats\n'
        "set_matplotlib_formats('svg')\n"
        "plt.plot([1, 3, 2], marker='o')\nplt.fill_between([0, 1], [1, 2]);"
        '\n```\n'
    )
    figures = []
    for _ in range(2):
        outputs, *_ = run(folder)
        (figure,) = outputs[0]
        figures.append(figure['data']['image/svg+xml'])
        for record in (tmp_path / 'cache').iterdir():
            record.unlink()
    assert '<clipPath id=' in figures[0]  # one of the names
    assert figures[0] == figures[1]


def test_a_damaged_record_is_made_anew(make_book, run, tmp_path):
    folder = make_book(CHAPTER)
    run(folder)
    (record,) = (tmp_path / 'cache').iterdir()
    for damage in (record.read_bytes()[:100], b'\xff', b'[]', b'{}'):
        record.write_bytes(damage)
        assert run(folder)[1] == 2


def test_a_cell_that_raises_is_named(make_book, run, tmp_path):
    chapter = CHAPTER + '\n```{.python .input}\ny = 0\n1 / y\n```\n'
    with pytest.raises(BookError) as caught:
        run(make_book(chapter))
    message = str(caught.value)
    assert 'one.md:18: cell 3 of 3' in message
    assert '1 / y' in message and 'ZeroDivisionError' in message
    assert '\x1b' not in message
    assert not (tmp_path / 'cache').exists()


def test_a_cell_that_hangs_meets_the_limit(make_book, run):
    chapter = (
        '# One\n\n```{.python .input}\nimport time\ntime.sleep(60)\n```\n'
    )
    start = time.perf_counter()
    with pytest.raises(
        BookError, match=r'one\.md:4: cell 1 (?s:.*)longer than'
    ):
        run(make_book(chapter), timeout=2)
    assert time.perf_counter() - start < 30


def test_a_kernel_that_dies(make_book, run):
    chapter = '# One\n\n```{.python .input}\nimport os\nos._exit(3)\n```\n'
    with pytest.raises(BookError, match=r'one\.md:4: (?s:.*)kernel died'):
        run(make_book(chapter))


def test_the_cure_for_numpy_works_in_the_kernel(make_book, run):
    chapter = (
        '# One\n\n```{.python .input}\nimport d2l_gan\nimport mxnet\n'
        'print(mxnet.np.ones(2) > 0, mxnet.__version__)\n```\n'
    )
    outputs, *_ = run(make_book(chapter))
    assert [output['text'] for output in outputs[0]] == [
        '[ True  True] 1.9.1\n'
    ]


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGKILL])
def test_a_build_that_is_stopped_leaves_nothing_half_done(
    make_book, tmp_path, how
):
    folder = make_book(
        '# One\n\n```{.python .input}\nimport os, pathlib, time\n'
        "pathlib.Path('pid').write_text(str(os.getpid()))\n"
        'time.sleep(60)\n```\n'
    )
    process = subprocess.Popen(
        [sys.executable, '-m', 'd2l_gan.book', '--chapters', folder,
         'chapter', '--build', tmp_path / 'build'],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
        # A background job is born deaf to Ctrl-C, and so are its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    pid = folder / 'pid'
    deadline = time.time() + 60
    while not (pid.exists() and pid.read_text()) and time.time() < deadline:
        time.sleep(0.1)
    kernel = int(pid.read_text())
    process.send_signal(how)
    told = process.communicate(timeout=60)[1]
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert 'interrupted' in told and 'Traceback' not in told
    assert not (tmp_path / 'build').exists()
    # The kernel notices within a few seconds that its parent has gone.
    deadline = time.time() + 30
    while time.time() < deadline:
        try:
            os.kill(kernel, 0)
        except ProcessLookupError:
            break
        time.sleep(0.2)
    else:
        pytest.fail('the kernel outlived the build')


# A chapter that begins when the chapters of {others} have {state}
WAITS = """\
# {name}

```{{.python .input}}
import os, pathlib, time
pathlib.Path('{name}.begun').write_text(str(os.getpid()))
for other in {others}:
    deadline = time.time() + 60
    while not pathlib.Path(f'{{other}}.{state}').exists():
        assert time.time() < deadline, other
        time.sleep(0.05)
print(os.environ.get('OMP_NUM_THREADS'))
```

```{{.python .input}}
time.sleep({seconds})
pathlib.Path('{name}.ended').touch()
```
"""


def _three_chapters(make_book, seconds):
    def chapter(name, others, state):
        return WAITS.format(
            name=name, others=others, state=state, seconds=seconds
        )

    return make_book(
        chapter('one', ['two'], 'begun'),
        **{
            'two.md': chapter('two', ['one'], 'begun'),
            'timed.md': chapter('timed', ['one', 'two'], 'ended'),
            'index.md': '# Index\n\n```toc\ntimed\none\ntwo\n```\n',
            'config.ini': '[project]\ntitle = T\nauthor = A\nlibrary = ../lib'
            '\nalone = timed\n',
        },
    )


def test_chapters_run_side_by_side_and_timed_ones_alone(
    make_book, tmp_path, monkeypatch
):
    monkeypatch.setattr(threads, '_cores', 2)
    monkeypatch.setenv('OMP_NUM_THREADS', '2')
    book = read_book(_three_chapters(make_book, seconds=1))
    found = execute(book, tmp_path / 'cache', out=io.StringIO())
    told = {
        name: outputs[0][0]['text'] for name, (outputs, *_) in found.items()
    }
    assert told == {'one': '1\n', 'two': '1\n', 'timed': '2\n'}


def test_an_error_ends_the_chapters_that_run_beside_it(
    make_book, tmp_path, monkeypatch
):
    monkeypatch.setattr(threads, '_cores', 2)
    folder = _three_chapters(make_book, seconds=60)
    text = (folder / 'two.md').read_text()
    (folder / 'two.md').write_text(text.replace('time.sleep(60)', '1 / 0'))
    with pytest.raises(BookError, match=r'two\.md:15: (?s:.*)ZeroDivision'):
        execute(read_book(folder), tmp_path / 'cache', out=io.StringIO())
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / 'one.begun').read_text()), 0)
    assert not (folder / 'timed.begun').exists()


def test_what_cannot_be_written_is_one_line(make_book, tmp_path):
    folder = make_book('# One\n\n```{.python .input}\nprint(1)\n```\n')

    def limit():  # The outputs are smaller than 700 bytes, the styles larger.
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))

    # Modules that are compiled would be cut off in their cache.
    run = subprocess.run(
        [sys.executable, '-B', '-m', 'd2l_gan.book', '--chapters', folder,
         'chapter', '--build', tmp_path / 'build'],
        cwd=ROOT, capture_output=True, text=True, preexec_fn=limit,
        check=False,
    )  # fmt: skip
    told = run.stderr.splitlines()[-1]
    assert run.returncode == 1 and 'Traceback' not in run.stderr
    assert told.startswith('error: ') and 'File too large' in told
    assert str(tmp_path / 'build') in told
    assert not (tmp_path / 'build' / 'html').exists()
