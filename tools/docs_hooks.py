"""What mkdocs asks while it builds the site: the pages that are made from the code, and how formulas are drawn."""

from __future__ import annotations

import docs_commands
import docs_corruptions
import docs_experiment
import docs_formula
import docs_methods
import docs_python
import docs_records
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

SUPERFENCES = "pymdownx.superfences"
THEIR_SHIM, OUR_SHIM = "https://unpkg.com/iframe-worker/shim", "search_from_disk.js"
FENCE = {"name": "math", "class": "math", "format": docs_formula.format_fence}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Have fences of the language `math` drawn."""
    config.mdx_configs.setdefault(SUPERFENCES, {}).setdefault("custom_fences", []).append(FENCE)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reference. None of it is a file: it cannot disagree with the code that it is made from."""
    pages = {
        "experiment.md": docs_experiment.write_page(),
        "methods.md": docs_methods.write_page(),
        "corruptions.md": docs_corruptions.write_page(),
        "commands.md": docs_commands.write_page(),
        **docs_records.write_files(),
        **docs_python.write_pages(),
        "changes.md": docs_python.read_changes(),
    }
    for name, content in pages.items():
        files.append(File.generated(config, f"reference/{name}", content=content))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Draw the formulas within sentences."""
    return docs_formula.draw_inline(html)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Put our script for searches from a disk in the place of the one that the theme would fetch."""
    return output.replace(THEIR_SHIM, get_relative_url(OUR_SHIM, page.url))


def on_post_template(output_content: str, template_name: str, config: MkDocsConfig) -> str:
    """Do the same for the page of what is not found, which knows places from the site's root alone."""
    return output_content.replace(THEIR_SHIM, f"/{OUR_SHIM}")
