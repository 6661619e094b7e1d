"""The site: Sphinx reads the same pages that GitHub shows; three directives add what the program itself says.

``python -m sphinx -W -b html glomfeat/docs build/site`` builds it, without a network and without files of other hosts.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

import glomfeat  # noqa: E402

project, author, copyright = "glomfeat", "The glomfeat developers", "The glomfeat developers"
version = release = glomfeat.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "directives"]
exclude_patterns = ["paper", "notebooks"]
default_role = "code"
smartquotes = False  # would make dashes of the two hyphens of options

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4  # the anchors that GitHub makes

autodoc_typehints = "none"  # the docstrings say types in words
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"glomfeat {release}"
html_copy_source = html_show_sphinx = html_show_sourcelink = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {"top_of_page_buttons": []}
