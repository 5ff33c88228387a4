"""Writes the modules that the chapters teach."""

import ast
import builtins
import dataclasses
import hashlib
import re
import symtable
import textwrap

from d2l_gan.book.read import BookError
from d2l_gan.support.files import write_text

__all__ = ['export', 'module_text']

IMPORTS = ast.Import, ast.ImportFrom
ADD_TO_CLASS = re.compile(r'(?:\w+\.)?add_to_class\((\w+)\)')
SAVE = re.compile(r'# *@save\b')
MODULE_NAMES = {'__name__', '__file__', '__doc__'}
HEADER = '''\
"""{title}, as {path} teaches it.

Made from that chapter by `make lib`: edit the chapter, not this file.
"""
# ruff: noqa: I001
# fmt: off
# Its text below this line has the SHA-256 {digest}.

'''
DIGEST = re.compile(
    r'^# Its text below this line has the SHA-256 (\w+)\.\n\n', re.M
)


def export(book, check=False):
    """Write the module of each chapter that has `#@save` cells.

    Args:
        book: a `Book`.
        check: write nothing, but raise if a module is not what its chapter
            makes.

    Returns:
        list: the paths of the modules that were (or would be) written anew.

    Raises:
        BookError: if a cell cannot be exported; if a module was changed by
            hand since it was made (the change would be lost); with `check`,
            if a module is out of date, naming the functions that differ.
    """
    origin, changed = {}, []
    # All texts first: an error in one chapter leaves every module alone.
    texts = {}
    for chapter in book.chapters:
        for name, line in _saved_names(chapter):
            if name in origin:
                raise chapter.error(
                    line,
                    f'`{name}` was saved before, at '
                    f'{origin[name]}: rename one of the two',
                )
            origin[name] = f'{chapter.path}:{line}'
        text = module_text(book, chapter)
        if text:
            texts[book.library / f'{book.modules[chapter.name]}.py'] = text
    for path, text in texts.items():
        old = path.read_text(encoding='utf-8') if path.exists() else None
        if old == text:
            continue
        changed.append(path)
        names = ', '.join(_differing(old or '', text)) or 'the header'
        if check:
            raise BookError(
                f'{path}: is not what its chapter makes (differs '
                f'in: {names}); run `make lib`'
            )
        if old is not None and not _untouched(old):
            raise BookError(
                f'{path}: was changed by hand (differs from its chapter in: '
                f'{names}), and making it anew would lose that. Move the '
                'change into the chapter, then delete this file'
            )
    if not check:
        for path in changed:
            write_text(path, texts[path])
    return changed


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
    if chapter.name not in book.modules:
        raise chapter.error(
            saved[0][0].line,
            'this cell is to be saved, but '
            f'{book.folder / "config.ini"} names no module for it: add '
            f'`{chapter.name} = <module>` under [modules]',
        )
    names = [name for name, _ in _saved_names(chapter)]
    imports = _imports(chapter)
    passed_on = [
        name
        for _, node in saved
        if isinstance(node, IMPORTS)
        for name in _names(node)
    ]
    used = dict.fromkeys(passed_on, True)
    for cell, _ in saved:
        for name, line in _free_names(cell):
            if name not in names and name not in imports:
                raise chapter.error(
                    line,
                    f'the saved code uses `{name}`, which is neither '
                    'saved nor imported in this chapter',
                )
            used[name] = True
    parts = [
        _import_block(imports, used),
        _wrapped(
            '__all__ = ',
            '[]',
            [repr(name) for name in sorted(names + passed_on, key=_rank)],
        ),
    ]
    parts += _blocks(chapter, saved)
    body = '\n\n\n'.join(part for part in parts[1:] if part) + '\n'
    if parts[0]:
        body = f'{parts[0]}\n\n{body}'
    header = HEADER.format(
        title=chapter.title,
        digest=_digest(body),
        path=f'{book.folder.name}/{chapter.path.name}',
    )
    return header + body


def _digest(body):
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def _untouched(text):
    mark = DIGEST.search(text)
    return bool(mark) and mark[1] == _digest(text[mark.end() :])


def _differing(old, new):
    """Names of the top-level blocks that two modules do not share."""

    def blocks(text):
        try:
            tree = ast.parse(text)
        except SyntaxError:
            return {}
        return {
            name: ast.get_source_segment(text, node)
            for node in tree.body
            for name in _names(node)
        }

    old, new = blocks(old), blocks(new)
    return [
        name
        for name in dict.fromkeys([*new, *old])
        if old.get(name) != new.get(name)
    ]


def _python(cell):
    """The source of a cell, its magics as blank lines."""
    return re.sub(r'^[%!].*$', '', cell.source, flags=re.M)


def _parse(chapter, cell):
    try:
        return ast.parse(_python(cell))
    except SyntaxError as error:
        raise chapter.error(
            cell.line + (error.lineno or 1) - 1,
            f'this code does not parse: {error.msg}',
        ) from None


def _saved_cells(chapter):
    """Pairs of a cell marked `#@save` and its one top-level node."""
    for cell in chapter.code:
        first = cell.source.split('\n', 1)[0]
        if not SAVE.search(first):
            marked = SAVE.search(cell.source)
            if marked:
                line = cell.line + cell.source.count('\n', 0, marked.start())
                raise chapter.error(
                    line, '#@save belongs on the first line of a cell'
                )
            continue
        tree = _parse(chapter, cell)
        if len(tree.body) != 1:
            where = tree.body[1].lineno if tree.body else 1
            raise chapter.error(
                cell.line + where - 1,
                'a #@save cell holds one top-level '
                f'block, and this one has {len(tree.body)}: split it',
            )
        node = tree.body[0]
        if not (_names(node) or _class_of(node)):
            raise chapter.error(
                cell.line + node.lineno - 1,
                'only functions, classes, constants and imports can be saved',
            )
        if _class_of(node):
            # Without the decorator: in the module it stands in its class.
            lines = cell.source.split('\n')
            end = node.decorator_list[0].end_lineno
            lines[:end] = [''] * end
            cell = dataclasses.replace(cell, source='\n'.join(lines))
        yield cell, node


def _class_of(node):
    """The class that a function under `@add_to_class(A)` is a method of."""
    first = next(iter(getattr(node, 'decorator_list', ())), None)
    match = first and ADD_TO_CLASS.fullmatch(ast.unparse(first))
    return match and match[1]


def _names(node):
    """The names that a top-level statement defines."""
    if _class_of(node):
        return []
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, IMPORTS):
        return [a.asname or a.name.split('.')[0] for a in node.names]
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    return [
        leaf.id
        for target in targets
        for leaf in ast.walk(target)
        if isinstance(leaf, ast.Name) and isinstance(leaf.ctx, ast.Store)
    ]


def _saved_names(chapter):
    """Pairs of a name that the chapter's saved cells define, and its line."""
    for cell, node in _saved_cells(chapter):
        for name in () if isinstance(node, IMPORTS) else _names(node):
            yield name, cell.line + node.lineno - 1


def _blocks(chapter, saved):
    """The texts of the saved blocks, methods within their classes."""
    blocks = {}
    for cell, node in saved:
        name = _class_of(node)
        if name is None and not isinstance(node, IMPORTS):
            blocks[_names(node)[0]] = _block(chapter, cell, node)
        elif name is not None:
            if name not in blocks:
                raise chapter.error(
                    cell.line + node.lineno - 1,
                    f'no class `{name}` was saved before this method of it',
                )
            method = textwrap.indent(cell.source.strip(), '    ')
            blocks[name] += f'\n\n{method}'
    return blocks.values()


def _imports(chapter):
    """What the chapter's cells import: bound name -> (module, alias)."""
    imports = {}
    for cell in chapter.code:
        for node in _parse(chapter, cell).body:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    bound = alias.asname or alias.name.split('.')[0]
                    imports[bound] = ('', alias)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    imports[alias.asname or alias.name] = (node.module, alias)
    return imports


def _import_block(imports, used):
    """One statement a module, with the names that are used, sorted."""
    plain, modules = [], {}
    for bound, (module, alias) in imports.items():
        if bound not in used:
            continue
        text = alias.name + (f' as {alias.asname}' if alias.asname else '')
        if module:
            modules.setdefault(module, []).append(text)
        else:
            plain.append(f'import {text}')
    return '\n'.join(
        sorted(plain)
        + [
            _wrapped(f'from {module} import ', '()', sorted(names))
            for module, names in sorted(modules.items())
        ]
    )


def _rank(name):
    """Constants first, then classes, then functions, as linters have it."""
    constant = name.isupper() and len(name) > 1
    return (not constant, not name[0].isupper(), name)


def _wrapped(start, brackets, names):
    """`start` and the names, on one line if it fits (PEP 8's 79)."""
    opening, closing = brackets if brackets == '[]' else ('', '')
    line = f'{start}{opening}{", ".join(names)}{closing}'
    if len(line) <= 79:
        return line
    names = ''.join(f'    {name},\n' for name in names)
    return f'{start}{brackets[0]}\n{names}{brackets[1]}'


def _free_names(cell):
    """Pairs of a name that the cell takes from outside, and its line."""
    source = _python(cell)
    top = symtable.symtable(source, '<cell>', 'exec')
    own = {
        s.get_name()
        for s in top.get_symbols()
        if s.is_assigned() or s.is_imported()
    }
    free, tables = set(), [top]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        free |= {
            s.get_name()
            for s in table.get_symbols()
            if s.is_referenced() and (table is top or s.is_global())
        }
    free -= own | MODULE_NAMES | set(dir(builtins))
    lines = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id in free:
            lines[node.id] = min(lines.get(node.id, node.lineno), node.lineno)
    return [
        (name, cell.line + line - 1)
        for name, line in sorted(lines.items(), key=lambda pair: pair[1])
    ]


def _block(chapter, cell, node):
    """A saved cell's code, its docstring ending in where it is taught."""
    lines = cell.source.split('\n')
    lines[0] = SAVE.split(lines[0])[0].rstrip()
    if hasattr(node, 'body'):
        where = (
            f'Taught in {chapter.path.parent.name}/{chapter.path.name}, '
            f'"{_section(chapter, cell)}".'
        )
        first = node.body[0]
        indent = ' ' * first.col_offset
        if ast.get_docstring(node) is None:
            lines.insert(first.lineno - 1, f'{indent}"""{where}"""')
        else:
            last = lines[first.end_lineno - 1].rstrip()
            text, quotes = last[:-3].rstrip(), last[-3:]
            lines[first.end_lineno - 1 : first.end_lineno] = [
                *([text] if text else []),
                '',
                f'{indent}{where}',
                f'{indent}{quotes}',
            ]
    return '\n'.join(lines).strip()


def _section(chapter, cell):
    """The title of the section that a cell stands in."""
    title = chapter.title
    for other in chapter.cells:
        if other is cell:
            return title
        if other.kind == 'text':
            prose = re.sub(r'^(```+)[\s\S]*?^\1', '', other.source, flags=re.M)
            title = [title, *re.findall(r'^#+ (.+?) *$', prose, re.M)][-1]
    raise ValueError('the cell is not of this chapter')
