"""The JavaScript of `page/`, many modules in one text, as Jupyter and an HTML file take it."""

import re
from pathlib import Path

PAGE = Path(__file__).parent / "page"
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";\n', re.MULTILINE)


def bundle(entry: str) -> str:
    """One module of JavaScript: `page/{entry}.js` after all that it imports, each in a scope of its own."""
    order: dict[str, str] = {}

    def add(name: str) -> None:
        if name not in order:
            source = (PAGE / f"{name}.js").read_text(encoding="utf-8")
            for _, needed in _IMPORT.findall(source):
                add(needed)
            order[name] = _IMPORT.sub(r"const {\1} = \2_js;\n", source)

    add(entry)
    last = order.pop(entry)
    return "\n".join([*map(_scoped, order, order.values()), last])


def _scoped(name: str, source: str) -> str:
    names = ", ".join(re.findall(r"^export (?:async )?(?:const|function) (\w+)", source, re.MULTILINE))
    body = re.sub(r"^export (default .*)?", "", source, flags=re.MULTILINE)
    return f"const {name}_js = (() => {{\n{body}\nreturn {{ {names} }};\n}})();"
