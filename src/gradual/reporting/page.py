"""What both reports are drawn with: one self-contained HTML page, filled from a template.

Everything is escaped but the drawings of `svg`; invisible characters of texts of others are shown, and long texts cut.
Knows no run and no comparison.
"""

from __future__ import annotations

from pathlib import Path

from gradual import text
from gradual.knowledge.levels import BEST_FIRST, Level

_FORMS = (text.count, text.decimal, text.percent, text.duration, text.plural)


def render_page(template: str, *, longest: int = text.LONGEST_TEXT, **values: object) -> str:
    """The page as HTML text: a file of templates/ filled with values; the same values give the same text.

    Texts of more than `longest` characters are cut.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    def shown_text(value: object) -> object:
        is_text = isinstance(value, str) and not hasattr(value, "__html__")
        return text.visible(text.clip(str(value), longest=longest)) if is_text else value

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({form.__name__: form for form in _FORMS})
    environment.tests["level"] = lambda value: isinstance(value, Level)
    environment.globals["levels"] = BEST_FIRST
    return environment.get_template(template).render(**values)
