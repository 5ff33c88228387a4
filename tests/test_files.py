import json
import math
import pathlib

import numpy
import pytest

from d2l_gan.support.files import expand, replacing, write_json, write_text


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
