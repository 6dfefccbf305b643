"""How Sphinx makes the site of what `making.stage` has put together.

Why these: Sphinx with MyST-NB takes notebooks with the outputs that they have, resolves each link,
and reads docstrings; it needs nothing but Python. Furo has light and dark, fits a phone, and loads
nothing from elsewhere. Jupyter Book 2 (mystmd) needs Node.js and fetches its theme when it builds.
nbconvert makes pages without search or navigation, and asks other hosts for Mermaid and MathJax.
"""

import importlib.metadata
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))

project = "chatlib"
author = "the contributors of chatlib"
copyright = "the contributors of chatlib, MIT licence"  # noqa: A001 - Sphinx's name for it
release = importlib.metadata.version("chatlib")
html_title = "WebSockets with FastAPI"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "making.docstrings",
    "making.search",
    "making.sections",
]
language = "en"
smartquotes_action = "D"  # dashes alone: a quotation mark has to be what one copies
exclude_patterns = ["_raw", "_extra"]  # files to download, and pages that are ready

# Notebooks and Markdown
nb_execution_mode = "off"
nb_output_stderr = "show"
nb_merge_streams = True
nb_code_prompt_show = "Guess first, then see what came"
nb_code_prompt_hide = "Hide what came"
myst_enable_extensions = ["colon_fence"]
myst_disable_syntax = ["myst_line_comment", "myst_block_break", "myst_target"]
myst_heading_anchors = 4
myst_heading_slug_func = "making.links.slug"

# Reference
autodoc_member_order = "bysource"
autodoc_mock_imports = ["uvicorn_worker"]  # what chatlib.worker stands on; not on Windows
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
napoleon_use_ivar = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"

# Pages
html_theme = "furo"
pygments_dark_style = "github-dark"  # Furo's own underlines names, as if they were links
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["site.js", "search.js"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"top_of_page_buttons": []}
copybutton_selector = "div.cell_input pre, div.highlight-python pre, div.highlight-sh pre"
