"""A name means one thing: no two classes of the two packages are called alike, whether a leading underscore hides one or not."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The public surface, whose names are the embedders' and may be those of what it hides.
FACADE = ROOT / "edge_ae" / "_api.py"


def classes(folder: Path) -> list[tuple[str, str]]:
    """The name of each class below a folder, without underscores, and the file that it is in."""
    return [
        (node.name.lstrip("_"), str(path.relative_to(ROOT)))
        for path in sorted(set(folder.rglob("*.py")) - {FACADE})
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]


def test_no_two_classes_have_the_same_name() -> None:
    homes = defaultdict(list)
    for name, home in classes(ROOT / "edge_ae") + classes(ROOT / "train" / "edge_ae_train"):
        homes[name].append(home)
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}
