"""Writes the modules that the chapters teach."""

import ast
import builtins
import dataclasses
import hashlib
import io
import re
import symtable
import tokenize

from IPython.core.inputtransformer2 import TransformerManager

from d2l_gan.book.read import BookError
from d2l_gan.support.files import write_text

__all__ = ['export', 'module_text']

IMPORTS = ast.Import, ast.ImportFrom
BLOCKS = ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef
ADD_TO_CLASS = re.compile(r'(?:\w+\.)?add_to_class\((\w+)\)')
NAMED = re.compile(r'^(?:async def |def |class |)(\w+)(?: =|[(:])', re.M)
SAVE = re.compile(r'# *@save\b')
RUNS_PYTHON = re.compile(r'\A%%(time|capture|prun)\b.*')
SAVED = (*BLOCKS, *IMPORTS, ast.Assign, ast.AnnAssign)
KNOWN = {'__name__', '__file__', '__doc__', *dir(builtins)}
HEADER = '''\
"""{title}, as {path} teaches it.

Made from that chapter by `make lib`: edit the chapter, not this file.
"""
# ruff: noqa: I001
# fmt: off
# Its text below this line has the SHA-256 {digest}.

{body}'''
DIGEST = re.compile(r'^# Its text below .* SHA-256 (\w+)\.\n\n', re.M)


def export(book, check=False):
    """Write the module of each chapter that has `#@save` cells.

    Args:
        book: a `Book`.
        check: write nothing, but raise if a module is not what its chapter
            makes.

    Returns:
        list: the paths of the modules that were written anew.

    Raises:
        BookError: if a cell cannot be exported; if a module was changed by
            hand since it was made (the change would be lost); with `check`,
            if a module is out of date, naming the functions that differ.
    """
    origin, changed = {}, {}
    # All texts first: an error in one chapter leaves every module alone.
    for chapter in book.chapters:
        for name, line in _saved_names(_saved_cells(chapter)):
            if name in origin:
                told = f'`{name}` was saved before, at {origin[name]}'
                raise chapter.error(line, f'{told}: rename one of the two')
            origin[name] = f'{chapter.path}:{line}'
        text = module_text(book, chapter)
        path = book.library / f'{book.modules.get(chapter.name)}.py'
        old = path.read_text(encoding='utf-8') if path.exists() else ''
        if text in ('', old):
            continue
        names = _differing(old, text)
        if check:
            told = f'is not what its chapter makes (differs in: {names})'
            raise BookError(f'{path}: {told}; run `make lib`')
        if old and not _untouched(old):
            raise BookError(
                f'{path}: was changed by hand (differs from its chapter in: '
                f'{names}), and making it anew would lose that. Move the '
                'change into the chapter, then delete this file'
            )
        changed[path] = text
    for path, text in changed.items():
        write_text(path, text)
    return list(changed)


def module_text(book, chapter):
    """The text of the module that a chapter makes; '' if it saves nothing.

    It holds the imports of the chapter's cells that it uses or that are saved
    themselves, `__all__`, and the saved blocks in the chapter's order, each
    docstring ending in the section that teaches it. A saved function under
    `@add_to_class(A)` becomes a method of the saved class A.

    Args:
        book: the `Book`, for the chapter's module.
        chapter: a `Chapter`.

    Returns:
        str: the same for the same chapter, to the byte.

    Raises:
        BookError: with the chapter and line, if a saved cell does not parse,
            has not exactly one top-level block, or uses a name that is neither
            saved nor imported; if the chapter has no module.
    """
    saved = list(_saved_cells(chapter))
    if not saved:
        return ''
    first = saved[0][0].line
    if chapter.name not in book.modules:
        told = f'{book.folder / "config.ini"} names no module for this: add'
        told += f' `{chapter.name} = <module>` under [modules]'
        raise chapter.error(first, told)
    imports, used = _imports(chapter), set()
    names = {name for name, _ in _saved_names(saved)}
    for _, node, _ in saved:
        if isinstance(node, IMPORTS):
            used.update(_names(node))
    exported = map(repr, sorted(names | used, key=_rank))
    for cell, *_ in saved:
        for line, name in _free_names(cell):
            if name not in names | imports.keys():
                told = f'the saved code uses `{name}`, which is neither saved'
                raise chapter.error(line, f'{told} nor imported here')
            used.add(name)
    head = _import_block(imports, used)
    blocks, trees = _blocks(chapter, saved)
    parts = f'__all__ = [\n{_lines(exported)}]', *blocks
    body = f'{head}\n\n'.lstrip() + '\n\n\n'.join(parts) + '\n'
    path = _path(chapter)
    title, digest = _escaped(chapter.title), _digest(body)
    text = HEADER.format(title=title, path=path, digest=digest, body=body)
    if not _defines(text, trees):
        told = 'what is saved from here on makes no module'
        raise chapter.error(first, told)
    return text


def _path(chapter):
    """The path of a chapter, seen from the folder around its book."""
    return '/'.join(chapter.path.parts[-2 - chapter.name.count('/') :])


def _escaped(text):
    """A text as it may stand between three double quotes."""
    return text.replace('\\', r'\\').replace('"""', r'\"\"\"')


def _digest(body):
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def _untouched(text):
    mark = DIGEST.search(text)
    return bool(mark) and mark[1] == _digest(text[mark.end() :])


def _differing(old, new):
    """The names of the top-level blocks that two modules do not share."""
    changed = {*old.split('\n\n\n')} ^ {*new.split('\n\n\n')}
    names = {*NAMED.findall('\n'.join(changed))} - {'__all__'}
    return ', '.join(sorted(names)) or 'the header'


def _parse(chapter, cell, saved=False):
    """The syntax tree of a cell; a saved one is to be plain Python."""
    source, told = cell.source, 'what is saved is plain Python, and this'
    if not saved:
        # The cell below these runs, too, and what it imports is there.
        source, told = RUNS_PYTHON.sub('', source), 'this code'
        source = TransformerManager().transform_cell(source)
    try:
        if saved:
            compile(source, str(chapter.path), 'exec')
        return ast.parse(source)
    except (SyntaxError, ValueError) as error:
        line = cell.at(getattr(error, 'lineno', None) or 1)
        told = f'{told} does not parse: {error.args[0]}'
        raise chapter.error(line, told) from None


def _saved_cells(chapter):
    """Triples of a cell marked `#@save`, its one node, and that one's class.

    The mark is left out of the cell. The class is that of `@add_to_class(A)`,
    which is left out of both: in the module the function stands in the class.
    """
    for cell in chapter.code:
        before, *marked = SAVE.split(cell.source, 1)
        if not marked:
            continue
        if '\n' in before:
            told = '#@save belongs on the first line of a cell'
            raise chapter.error(cell.at(before.count('\n') + 1), told)
        body = _parse(chapter, cell, saved=True).body
        if len(body) != 1:
            line = cell.at(body[1].lineno if body else 1)
            told = f'one top-level block, and this one has {len(body)}'
            raise chapter.error(line, f'a #@save cell holds {told}: split it')
        (node,) = body
        if not isinstance(node, SAVED) or '*' in _names(node):
            told = 'only functions, classes, constants and imports of names'
            raise chapter.error(cell.at(node.lineno), f'{told} can be saved')
        lines = cell.source.split('\n')
        lines[0] = before.rstrip()
        first = next(iter(getattr(node, 'decorator_list', ())), None)
        owner = first and ADD_TO_CLASS.fullmatch(ast.unparse(first))
        if owner:
            _check_method(chapter, cell, node)
            end = node.decorator_list.pop(0).end_lineno
            lines[:end] = [''] * end
        cell = dataclasses.replace(cell, source='\n'.join(lines))
        yield cell, node, owner and owner[1]


def _check_method(chapter, cell, node):
    """Refuse private names, which Python changes within a class only."""
    for leaf in ast.walk(node):
        name = getattr(leaf, 'attr', getattr(leaf, 'id', ''))
        if re.match(r'__(?!.*__$)', name):
            told = f'`{name}` is another name within a class: rename it'
            raise chapter.error(cell.at(leaf.lineno), told)


def _names(node):
    """The names that a statement which can be saved defines."""
    if isinstance(node, BLOCKS):
        return [node.name]
    if isinstance(node, IMPORTS):
        return [a.asname or a.name.split('.')[0] for a in node.names]
    return [
        leaf.id
        for target in getattr(node, 'targets', None) or [node.target]
        for leaf in ast.walk(target)
        if isinstance(leaf, ast.Name) and isinstance(leaf.ctx, ast.Store)
    ]


def _saved_names(saved):
    """Pairs of a name that saved cells define, and its line."""
    for cell, node, owner in saved:
        if not owner and not isinstance(node, IMPORTS):
            for name in _names(node):
                yield name, cell.at(node.lineno)


def _blocks(chapter, saved):
    """The texts and trees of the saved blocks, methods in their classes."""
    texts, trees = {}, {}
    for cell, node, owner in saved:
        if isinstance(node, IMPORTS):
            continue
        line = cell.at(node.lineno)
        name = owner or next(iter(_names(node)), line)
        if owner is None:
            where = f'{_path(chapter)}, "{_section(chapter, cell)}"'
            texts[name] = _block(cell, node, f'Taught in {where}.')
            trees[name] = node
        elif isinstance(trees.get(name), ast.ClassDef):
            texts[name] += f'\n\n{_method(cell, node, texts[name])}'
            trees[name].body.append(node)
        else:
            told = f'no class `{name}` was saved before this method of it'
            raise chapter.error(line, told)
    return texts.values(), trees.values()


def _block(cell, node, where):
    """The text of a saved cell, with where it is taught.

    That ends its docstring, or is one, in the text and in the node.
    """
    if not hasattr(node, 'body'):
        return cell.source.strip()

    def before(line, column):
        lines = cell.source.split('\n')[:line]
        lines[-1] = lines[-1].encode()[:column].decode()
        return '\n'.join(lines)

    first = node.body[0]
    head = before(first.lineno, first.col_offset)
    if getattr(first, 'decorator_list', ()):
        name = first.decorator_list[0]
        head = before(name.lineno, name.col_offset).rpartition('@')[0]
    rest = cell.source[len(head) :]
    own_line = re.search(r'(?<!\\)\n([ \t]*)$', head)
    indent = own_line[1] if own_line else ' ' * 4
    if not own_line:
        # The body stands behind the colon.
        head = head.rstrip(' \t\\\n') + f'\n{indent}'
    doc = ast.get_docstring(node, clean=False)
    if doc is None:
        rest = f'\n{indent}{rest}'
    else:
        where = f'{doc.rstrip()}\n\n{indent}{where}\n{indent}'
        end = before(first.end_lineno, first.end_col_offset)
        rest = cell.source[len(end) :]
        node.body.pop(0)
    node.body.insert(0, ast.Expr(ast.Constant(where)))
    return f'{head}"""{_escaped(where)}"""{rest}'.strip()


def _method(cell, node, within):
    """A method's text, indented as the body of the class `within`."""
    first = ast.parse(within).body[0].body[0]
    indent = within.split('\n')[first.lineno - 1][: first.col_offset]
    docs = {x.body[0].lineno for x in ast.walk(node) if _has_docstring(x)}
    fixed = set()  # the lines that begin within a string
    for token in tokenize.generate_tokens(io.StringIO(cell.source).readline):
        kind, line = tokenize.tok_name[token.type], token.start[0]
        if kind in ('STRING', 'FSTRING_MIDDLE') and line not in docs:
            fixed.update(range(line + 1, token.end[0] + 1))
    lines = [
        indent + line if line.strip() and number not in fixed else line
        for number, line in enumerate(cell.source.split('\n'), 1)
    ]
    return '\n'.join(lines).strip('\n')


def _has_docstring(node):
    return isinstance(node, BLOCKS) and ast.get_docstring(node) is not None


def _defines(text, trees):
    """Whether a module ends in these trees, down to docstrings' blanks."""
    try:
        compile(text, '<module>', 'exec')
    except (SyntaxError, ValueError):
        return False
    dumps = list(map(_dump, ast.parse(text).body))
    return dumps[len(dumps) - len(trees) :] == list(map(_dump, trees))


def _dump(tree):
    """A tree as a string, after its docstrings have lost needless blanks."""
    for node in filter(_has_docstring, ast.walk(tree)):
        words = ' '.join(node.body[0].value.value.split())
        node.body[0].value = ast.Constant(words)
    return ast.dump(tree)


def _imports(chapter):
    """What the chapter's cells import: bound name -> (module, text) pairs."""
    imports = {}
    for cell in chapter.code:
        for node in _parse(chapter, cell).body:
            if not isinstance(node, IMPORTS):
                continue
            module = '.' * getattr(node, 'level', 0)
            module += getattr(node, 'module', None) or ''
            for alias, bound in zip(node.names, _names(node)):
                # `import a.b` takes nothing from `import a.c`.
                kept = not module and not alias.asname
                others = imports.get(bound, []) if kept else []
                imports[bound] = [*others, (module, ast.unparse(alias))]
    return imports


def _import_block(imports, used):
    """One statement a module, with the names that are used, sorted."""
    modules = {}
    for bound, pairs in imports.items():
        for module, text in pairs:
            if bound in used or module == '__future__':
                modules.setdefault(module, set()).add(text)
    lines = [f'import {text}' for text in sorted(modules.pop('', ()))]
    for module, texts in sorted(modules.items()):
        line = f'from {module} import {", ".join(sorted(texts))}'
        if len(line) > 79:
            line = f'from {module} import (\n{_lines(sorted(texts))})'
        lines.insert(0 if module == '__future__' else len(lines), line)
    return '\n'.join(lines)


def _lines(names):
    return ''.join(f'    {name},\n' for name in names)


def _rank(name):
    """Constants first, then classes, then functions, as linters have it."""
    constant = name.isupper() and len(name) > 1
    return (not constant, not name[0].isupper(), name)


def _free_names(cell):
    """Pairs of a line and a name that the cell takes from outside there."""
    top = symtable.symtable(cell.source, '<cell>', 'exec')
    own = {s.get_name() for s in top.get_symbols() if s.is_assigned()}
    free, tables = set(), [top]
    for table in tables:
        tables += table.get_children()
        free |= {
            s.get_name()
            for s in table.get_symbols()
            if s.is_referenced() and s.is_global()
        }
    return sorted(
        (cell.at(node.lineno), node.id)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Name) and node.id in free - own - KNOWN
    )


def _section(chapter, cell):
    """The title of the section that a cell stands in."""
    headings = chapter.tokens('heading_open')
    titles = [token.content for line, token in headings if line < cell.line]
    return titles[-1] if titles else chapter.title
