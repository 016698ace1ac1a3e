"""Which format is rendered by what. Each module is imported when its format is asked for."""

from __future__ import annotations

from .model import View


def render(view: View, name: str, *, colour: bool = False, width: int = 80) -> str:
    """The report in the format `text`, `json`, `markdown`, `html` or `junit`. Colour and width are for text."""
    match name:
        case "text":
            from . import text

            return text.render(view, width=width, paint=text.coloured if colour else text.plain)
        case "json":
            from . import brief, json

            return json.render(brief.of(view.report) if view.brief else view.report)
        case "markdown":
            from . import markdown

            return markdown.render(view)
        case "html":
            from . import html

            return html.render(view)
        case "junit":
            from . import junit

            return junit.render(view)
    raise ValueError(name)
