"""Sphinx's settings; `render` adds the book's title and author."""

import importlib.metadata

# MathJax out of a wheel: the pages ask the network for nothing.
_mathjax = next(
    file.locate()
    for file in importlib.metadata.files('sphinx-mathjax-offline')
    if file.name == 'tex-svg-full.js'
)

extensions = ['myst_nb', 'sphinx_copybutton']
nb_execution_mode = 'off'  # the cells were run before, with a cache
nb_merge_streams = True
myst_enable_extensions = ['dollarmath', 'amsmath']
myst_dmath_double_inline = True
# A line of d2l markdown that begins with % or +++ is text.
myst_disable_syntax = ['myst_line_comment', 'myst_block_break']
suppress_warnings = [
    'mystnb.unknown_mime_type',
    # Chapters bring their numbers, and may leave out a level of headings.
    'myst.header',
    # `%%bash` and its kin have run, whatever language colours them.
    'misc.highlighting_failure',
]

# What a cell prints is to be looked at.
copybutton_selector = 'div.highlight:not(.cell_output *) pre'

html_theme = 'sphinx_book_theme'
html_theme_options = {
    'navbar_persistent': [],  # the sidebar has a search field already
    'use_fullscreen_button': False,
    'home_page_in_toc': True,
    'show_toc_level': 2,
}
html_static_path = ['static', str(_mathjax)]
html_css_files = ['book.css']
html_js_files = ['fit.js']
mathjax_path = 'tex-svg-full.js'
pygments_style = 'friendly'
