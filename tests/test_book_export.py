import ast
import importlib.util
import pathlib
import subprocess
import sys

import pytest
from conftest import BOOK

from d2l_gan.book.export import export, module_text
from d2l_gan.book.read import BookError, read_book

ROOT = pathlib.Path(__file__).parent.parent

CHAPTER = '''\
# The First Things

```{.python .input}
%matplotlib inline
import os
import math as m
from collections import OrderedDict, defaultdict
```

## Squares

```{.python .input}
#@save
# Why there is a root here is told above.
def square_root(x):
    """The root of `x`."""
    return m.sqrt(x)
```

```{.python .input}
square_root(4), OrderedDict()
```

### Boxes

```{.python .input}
#@save
class Box(dict):
    """A box.

    Of chocolates.
    """
    limit = 3

    def fill(self):
        return [square_root(LARGEST) for _ in range(self.limit)]
```

```{.python .input}
#@save
def bare(x):
    y = defaultdict(int)
    return lambda z: (x, y, z)
```

```{.python .input}
LARGEST = 9  #@save
```
'''


def cell(code):
    return f'# One\n\n```{{.python .input}}\n{code}\n```\n'


def load(path):
    spec = importlib.util.spec_from_file_location('made', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_module_works_and_says_where_it_comes_from(make_book):
    book = read_book(make_book(CHAPTER))
    (path,) = export(book)
    assert path == book.library / 'first.py'
    made = load(path)
    assert made.square_root(16) == 4
    assert made.Box().fill() == [3, 3, 3]
    assert made.bare(1)(2)[::2] == (1, 2)
    assert made.__all__ == ['LARGEST', 'Box', 'bare', 'square_root']
    assert 'chapters/one.md' in made.__doc__ and 'edit the chapter' in (
        made.__doc__
    )
    where = 'Taught in chapters/one.md, "{}".'
    assert made.square_root.__doc__.endswith(
        'The root of `x`.\n\n    ' + where.format('Squares') + '\n    '
    )
    assert made.Box.__doc__.rstrip().endswith(where.format('Boxes'))
    assert 'Of chocolates.' in made.Box.__doc__
    assert made.bare.__doc__ == where.format('Boxes')
    text = path.read_text()
    assert '# Why there is a root' in text and '@save' not in text


def test_only_what_is_used_is_imported(make_book):
    text = module_text(*one_chapter(make_book(CHAPTER)))
    assert 'import math as m' in text
    assert 'from collections import defaultdict\n' in text
    assert 'import os' not in text and 'OrderedDict' not in text
    assert 'matplotlib' not in text


def one_chapter(folder):
    book = read_book(folder)
    return book, book.chapters[0]


METHODS = '''\
```{.python .input}
from functools import lru_cache, wraps
from math import pi, sqrt
import d2l
```

```{.python .input}
#@save
class Circle:
    """A circle."""
    def __init__(self, radius):
        self.radius = radius
```

```{.python .input}
#@save
@d2l.add_to_class(Circle)
def area(self):
    """Its area.

    In the unit of the radius, squared.
    """
    return pi * self.radius ** 2
```

```{.python .input}
#@save
@add_to_class(Circle)
@lru_cache
def diameter(self):
    return 2 * self.radius  # twice
```

```{.python .input}
#@save
from math import sqrt
```
'''


def test_methods_go_to_their_class_and_saved_imports_are_passed_on(make_book):
    book = read_book(make_book('# Circles\n\n' + METHODS))
    (path,) = export(book)
    made = load(path)
    assert made.__all__ == ['Circle', 'sqrt'] and made.sqrt(9) == 3
    circle = made.Circle(2)
    assert circle.area() == pytest.approx(12.566, abs=1e-3)
    assert circle.diameter() == 4 and made.Circle.diameter.cache_info()
    assert 'unit of the radius' in made.Circle.area.__doc__
    assert made.Circle.__doc__.count('Taught in') == 1
    text = path.read_text()
    assert 'add_to_class' not in text and 'wraps' not in text
    assert 'import d2l' not in text and '# twice' in text


def test_a_second_export_writes_nothing(make_book):
    book = read_book(make_book(CHAPTER))
    (path,) = export(book)
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert export(book) == []
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_long_import_is_wrapped(make_book):
    names = [f'a_rather_long_name_{i}' for i in range(5)]
    text = module_text(
        *one_chapter(
            make_book(
                cell(f'from somewhere import {", ".join(names)}')
                + '\n'
                + cell(f'#@save\ndef f():\n    return [{", ".join(names)}]')
            )
        )
    )
    assert max(map(len, text.split('def f')[0].splitlines())) <= 79
    imported = ast.parse(text).body[1]
    assert [alias.name for alias in imported.names] == names


DOCSTRINGS = {
    'single quotes': "def f(x):\n    'Doc.'\n    return x",
    'a comment behind': 'def f(x):\n    """Doc."""  # noqa\n    return x',
    'a statement behind': 'def f(x):\n    """Doc."""; return x',
    'pieces': 'def f(x):\n    ("Do"\n     "c.")\n    return x',
    'tabs': 'def f(x):\n\t"""Doc."""\n\treturn x',
    'a quote at the end': 'def f(x):\n    "Doc.\\""\n    return x',
    'raw': 'def f(x):\n    r"""Doc. \\alpha"""\n    return x',
    'three quotes': 'def f(x):\n    \'Doc. """\'\n    return x',
    'a prefix': 'def f(x):\n    u"Doc."\n    return x',
    'one line': 'def f(x): "Doc."; return x',
    'a line that goes on': 'def f(x): \\\n    "Doc."; return x',
    'not ASCII': 'def f(x, é="é"): "Doc."; return x',
}
NONE = {
    'nothing': 'def f(x):\n    return x',
    'one line': 'def f(x): return x',
    'a line that goes on': 'def f(x): \\\n  return x',
    'a comment with a backslash': 'def f(x):  # \\\n  return x',
    'parentheses': 'def f(x): return (\nx)',
    'a class': 'class f:\n    def __new__(self, x): return x',
    'tabs': 'def f(x):\n\treturn x',
    'a comment': 'def f(x):  # it\n    # is\n    return x',
    'no text': 'def f(x):\n    f"Doc."\n    return x',
    'a decorated function first': 'def f(x):\n    @ (staticmethod\n    )\n'
    '    def g():\n        return x\n    return x',
    'a decorator': '@(lambda f:\n  f)\ndef f(x):\n    return x',
}


@pytest.mark.parametrize(
    'code',
    [*DOCSTRINGS.values(), *NONE.values()],
    ids=[*(f'doc: {name}' for name in DOCSTRINGS), *NONE],
)
def test_every_form_of_a_block_is_saved(make_book, code):
    (path,) = export(read_book(make_book(cell(f'#@save\n{code}'))))
    made = load(path)
    assert made.f(3) == 3
    doc = 'Doc.' if code in DOCSTRINGS.values() else 'Taught in'
    assert made.f.__doc__.startswith(doc)
    assert made.f.__doc__.rstrip().endswith(
        'Taught in chapters/one.md, "One".'
    )


METHOD = """\
```{.python .input}
#@save
class A(
        object):
INDENT"Doc."
```

```{.python .input}
#@save
@add_to_class(A)
@property
def text(self):
    '''Lines
    of it.'''
    def inner():
        \"\"\"Doc
        too.\"\"\"
    x = 1
    return '''a
  b
{}''' + f'''
 c{
    x}
d''' + 'e\\
f'
```
"""


@pytest.mark.parametrize('indent', ['    ', '\t', '  '])
def test_a_method_keeps_its_strings(make_book, indent):
    text = METHOD.replace('INDENT', indent)
    (path,) = export(read_book(make_book(f'# One\n\n{text}')))
    made = load(path)
    assert made.A().text == 'a\n  b\n{}\n c1\ndef'
    assert made.A.text.__doc__.split() == ['Lines', 'of', 'it.']


IPYTHON = [
    '%%bash\necho $(ls) | head',
    'x = !ls',
    'len?',
    '%matplotlib inline\nx = (3\n% 2)',
    'files = %ls\n!cd {x}',
    '%%time\nfrom math import sqrt',
    'await x',
]


def test_what_is_for_ipython_stops_no_other_cell(make_book):
    cells = ''.join(f'```{{.python .input}}\n{x}\n```\n\n' for x in IPYTHON)
    saved = cell('#@save\ndef f(x):\n    return """\n%s?\n!""" + str(sqrt(x))')
    (path,) = export(read_book(make_book(f'# One\n\n{cells}{saved}')))
    assert load(path).f(4) == '\n%s?\n!2.0'


def test_a_module_says_in_which_folder_its_chapter_lies(make_book):
    folder = make_book(
        '',
        **{
            'part/two.md': cell('#@save\ndef f():\n    pass'),
            'index.md': '```toc\npart/two\n```\n',
            'config.ini': BOOK['config.ini'] + 'part/two = second\n',
        },
    )
    (path,) = export(read_book(folder))
    made = load(path)
    assert path.name == 'second.py'
    assert made.__doc__.startswith('One, as chapters/part/two.md teaches it.')
    assert made.f.__doc__ == 'Taught in chapters/part/two.md, "One".'


def test_a_chapter_may_pass_on_imports_only(make_book):
    (path,) = export(read_book(make_book(cell('#@save\nfrom math import pi'))))
    assert load(path).__all__ == ['pi'] and load(path).pi > 3


def test_a_title_may_hold_formulas(make_book):
    text = '# On $\\alpha$ and """\n' + cell('#@save\ndef f(): return 1')[5:]
    (path,) = export(read_book(make_book(text)))
    assert load(path).f.__doc__.count('On $\\alpha$ and """') == 1


def test_imports_stay_what_they_are(make_book):
    folder = make_book(
        cell(
            'from __future__ import annotations\nimport os\nimport os.path\n'
            'import xml.dom\nimport xml.sax\nimport xml\n'
            'from .other import two\n'
            'from . import other as o'
        )
        + '\n'
        + cell(
            '#@save\ndef f(x: int | None):\n'
            '    return two, o.two, xml.dom, xml.sax, os.path'
        ),
        **{'../lib/__init__.py': '', '../lib/other.py': 'two = 2'},
    )
    (path,) = export(read_book(folder))
    program = 'import lib.first; print(lib.first.f(1)[:2])'
    run = subprocess.run(
        [sys.executable, '-c', program],
        cwd=path.parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == '(2, 2)\n'


REFUSED = {
    'two blocks': (
        '#@save\ndef f():\n    pass\n\ndef g():\n    pass',
        r'one\.md:8: .*one top-level block, and this one has 2',
    ),
    'no block': ('#@save', r'one\.md:4: .*this one has 0'),
    'a mark too late': ('x = 1\n#@save\ny = 2', r'one\.md:5: .*first line'),
    'an unknown name': (
        '#@save\ndef f():\n    return 1\\\n        + nothing',
        r'one\.md:7: .*`nothing`, which is neither',
    ),
    'an unknown default': (
        '#@save\ndef f(x=nothing):\n    return x',
        r'one\.md:5: .*`nothing`',
    ),
    'IPython': (
        '#@save\ndef f():\n    !ls\n    return 1',
        r'one\.md:6: what is saved is plain Python',
    ),
    'a magic': (
        '#@save\nx = %ls',
        r'one\.md:5: what is saved is plain Python',
    ),
    'no function around it': (
        '#@save\nclass A:\n    return 1',
        r"one\.md:6: .*does not parse: 'return' outside function",
    ),
    'a star': ('#@save\nfrom math import *', r'one\.md:5: .* of names'),
    'a future that is none': (
        '#@save\ndef f():\n    pass\n```\n\n'
        '```{.python .input}\nfrom __future__ import none',
        r'one\.md:4: .*makes no module',
    ),
    'a method of a function': (
        '#@save\ndef A():\n    pass\n```\n\n```{.python .input}\n#@save\n'
        '@add_to_class(A)\ndef f(self):\n    pass',
        r'one\.md:12: no class `A` was saved before',
    ),
    'a method of a constant': (
        '#@save\nA = 1\n```\n\n```{.python .input}\n#@save\n'
        '@add_to_class(A)\ndef f(self):\n    pass',
        r'one\.md:11: no class `A` was saved before',
    ),
    'a private name in a method': (
        '#@save\nclass A:\n    pass\n```\n\n```{.python .input}\n#@save\n'
        '@add_to_class(A)\ndef f(self):\n    self.__dict__\n'
        '    return self.__x',
        r'one\.md:14: `__x` is another name within a class',
    ),
    'no syntax': ('#@save\n\ndef f(:', r'one\.md:6: .*does not parse'),
    'no name': ('#@save\nprint(1)', r'one\.md:5: only functions, classes'),
    'a method without a class': (
        '#@save\n@add_to_class(A)\ndef f(self):\n    pass',
        r'one\.md:6: no class `A` was saved before',
    ),
    'a method of an unknown name': (
        '#@save\nclass A:\n    pass\n```\n\n```{.python .input}\n#@save\n'
        '@add_to_class(A)\ndef f(self):\n    return nothing',
        r'one\.md:13: .*`nothing`, which is neither',
    ),
    'twice': (
        '#@save\ndef f():\n    pass\n```\n\n'
        '```{.python .input}\n#@save\nf = 1',
        r'one\.md:11: `f` was saved before, at .*one\.md:5',
    ),
}


@pytest.mark.parametrize('code, message', REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_exported_is_refused(make_book, code, message):
    book = read_book(make_book(cell(code)))
    with pytest.raises(BookError, match=message):
        export(book)
    assert not book.library.exists()


def test_a_chapter_without_a_module(make_book):
    folder = make_book(cell('#@save\ndef f():\n    pass'))
    config = folder / 'config.ini'
    config.write_text(config.read_text().replace('one = ', 'two = '))
    with pytest.raises(BookError, match=r'one\.md:4: .*`one = <module>`'):
        export(read_book(folder))


def test_a_module_changed_by_hand_is_not_overwritten(make_book):
    folder = make_book(CHAPTER)
    (path,) = export(read_book(folder))
    edited = path.read_text().replace('limit = 3', 'limit = 4')
    path.write_text(edited)
    with pytest.raises(BookError, match=r'changed by hand .*in: Box\)'):
        export(read_book(folder))
    assert path.read_text() == edited
    path.unlink()
    export(read_book(folder))
    assert 'limit = 3' in path.read_text()


def test_a_changed_chapter_is_exported_again(make_book):
    export(read_book(make_book(CHAPTER)))
    book = read_book(make_book(CHAPTER.replace('limit = 3', 'limit = 5')))
    with pytest.raises(BookError, match=r'differs in: Box\); run `make lib`'):
        export(book, check=True)
    (path,) = export(book)
    assert load(path).Box.limit == 5


def test_this_book_and_this_library_agree():
    export(read_book(ROOT / 'chapters'), check=True)
