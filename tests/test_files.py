import json
import math
import os
import pathlib
import signal
import socket

import numpy
import pytest
from processes import start

from d2l_gan.support.files import (
    expand,
    owned,
    replacing,
    write_json,
    write_text,
)


def test_the_new_file_replaces_the_old_one(tmp_path):
    path = tmp_path / 'deep' / 'a.txt'
    write_text(path, 'one')
    write_text(path, 'zwölf')
    assert path.read_bytes() == 'zwölf'.encode()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
def test_after_an_error_the_old_file_is_whole(tmp_path, error):
    path = tmp_path / 'a.txt'
    write_text(path, 'old')
    with pytest.raises(error), replacing(path) as draft:
        draft.write_text('ha')
        raise error
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_json_has_null_for_what_is_no_number(tmp_path):
    value = {'a': [1.5, math.nan, {'b': (math.inf, 'c', None, True, 2)}]}
    write_json(tmp_path / 'a.json', {**value, 'd': -numpy.float64('inf')})
    assert json.loads((tmp_path / 'a.json').read_text()) == {
        'a': [1.5, None, {'b': [None, 'c', None, True, 2]}],
        'd': None,
    }


def test_only_a_tilde_alone_is_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    for path, meant in (
        ('~', tmp_path),
        ('~/a/~', tmp_path / 'a/~'),
        ('~root', '~root'),
        ('a/~/b', 'a/~/b'),
        ('', '.'),
    ):
        assert expand(path) == pathlib.Path(meant)


def hold(cwd, code, num_lines=0):
    """A process that does something in a folder, and then waits.

    Gives it, and the lines that it printed.
    """
    process = start(
        '-c',
        f'from d2l_gan.support.files import drafted, owned\n{code}\n'
        "print('ready', flush=True); input()",
        cwd=cwd,
    )
    lines = [process.stdout.readline().strip() for _ in range(num_lines)]
    assert process.stdout.readline() == 'ready\n'
    return process, lines


def test_a_folder_has_one_owner_as_long_as_that_lives(tmp_path):
    process, _ = hold(tmp_path, "lock = owned('run'); lock.__enter__()")
    owner = f'process {process.pid} on {socket.gethostname()} trains into'
    taken = pytest.raises(BlockingIOError, match=f'{owner} the folder .*run: ')
    with taken, owned(tmp_path / 'run'):
        pass
    process.kill()
    process.wait()
    with owned(tmp_path / 'run'):
        assert str(os.getpid()) in (tmp_path / 'run' / '.owner').read_text()
    assert list((tmp_path / 'run').iterdir()) == []


def test_a_child_does_not_inherit_the_folder(tmp_path):
    process, (child,) = hold(
        tmp_path,
        "import os; lock = owned('run'); lock.__enter__()\n"
        'child = os.fork()\nif not child: import time; time.sleep(60)\n'
        'print(child)',
        num_lines=1,
    )
    try:
        process.kill()
        process.wait()
        with owned(tmp_path / 'run'):
            pass
    finally:
        os.kill(int(child), signal.SIGKILL)


def test_drafts_are_swept_up_but_not_those_of_the_living(tmp_path):
    draft = (
        "a = drafted('.'); print(a.__enter__())\n"
        "b = drafted('.', is_folder=True); print(b.__enter__())"
    )
    dead, living = (hold(tmp_path, draft, num_lines=2) for _ in range(2))
    assert len(list(tmp_path.iterdir())) == 4
    dead[0].send_signal(signal.SIGTERM)
    dead[0].wait()
    write_text(tmp_path / 'a.txt', 'new')
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {'a.txt', *living[1]}
    living[0].kill()
    living[0].wait()


def test_errors_of_the_system_name_the_file_and_a_cure(tmp_path):
    (tmp_path / 'file').write_text('')
    path = tmp_path / 'file' / 'a'
    told = f'{path} could not be written to .*: make room there, allow it'
    with pytest.raises(OSError, match=told):
        write_text(path, '')
