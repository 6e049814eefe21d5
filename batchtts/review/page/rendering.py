"""The page as one file: template, style and script inlined, and everything from outside forbidden.

What others wrote goes through the template, which escapes all of it. What runs and what
styles is ours, and the browser is told its hashes: it takes no other.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from batchtts.review.page import spelling
from batchtts.review.page.content import VOICE_HEAD, Page
from batchtts.review.page.sound import HIGH, WIDE

_HERE = Path(__file__).parent
#: How every page begins; so a file that does is one of ours.
BEGINNING = "<!doctype html>\n<!-- A report of batchtts."


def render(page: Page) -> str:
    """Return the page."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style, script = ((_HERE / name).read_text("utf-8") for name in ("report.css", "report.js"))
    template = environment.get_template("report.html")
    return template.render(
        page=page,
        spell=spelling,
        voice_head=VOICE_HEAD,
        wave=(WIDE, HIGH),
        beginning=Markup(BEGINNING),
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
    )


def _policy(style: str, script: str) -> str:
    """What the browser may take from where."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)};"
        " img-src data:; media-src 'self' data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
