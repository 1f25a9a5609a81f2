"""The pages of the repository, and how to look things up on them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.docs.blocks import Block, Step, blocks_of, steps_of

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
MODELS = ROOT / "docs" / "model-sizes.md"
ORDERS = ROOT / "examples" / "orders" / "README.md"
RECORDS = sorted((DOCS / "decisions").glob("*.md"))
PAGES = (
    *(README, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"),
    *sorted(DOCS.glob("*.md")),
    *(*RECORDS, MODELS, ORDERS),
)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@cache
def prose_of(page: Path) -> str:
    """The page without its blocks."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


@cache
def blocks_on(page: Path) -> Sequence[Block]:
    return blocks_of(page)


def steps_on(page: Path) -> list[Step]:
    consoles = (block for block in blocks_on(page) if block.language == "console")
    return [step for block in consoles for step in steps_of(block)]


def is_excerpt(page: Path, block: Block) -> bool:
    """Whether the block shows a part of a file that lies beside the page."""
    return page == ORDERS and (page.parent / block.file).is_file()


@cache
def files() -> Mapping[str, Block]:
    """The blocks that a reader saves, by the names of their files."""
    saved = [
        block
        for page in PAGES
        for block in blocks_on(page)
        if block.file and not is_excerpt(page, block)
    ]
    named = {block.file: block for block in saved}
    assert len(named) == len(saved), "two blocks are saved under one name"
    return named


def rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of the first table of a page whose headings begin with this."""
    return _table(page, f"| {heading} |")[1:]


def figures_on(page: Path) -> Mapping[str, Mapping[str, str]]:
    """Of the bus and its peers: by what was measured, by the name of the peer."""
    (_, *peers), *measured = _table(page, "| | Guildbus |")
    return {what: dict(zip(peers, figures, strict=True)) for what, *figures in measured}


def _table(page: Path, start: str) -> list[list[str]]:
    text = text_of(page)
    heading, _, *lines = text[text.index(f"\n{start}") + 1 :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in _cells(line)] for line in (heading, *lines)]


def code_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def anchors_of(page: Path) -> set[str]:
    """What may stand behind `#` in a link to the page, as GitHub makes it from headings."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links_on(page: Path) -> Iterator[tuple[str, str]]:
    """Path and anchor of each link within the repository."""
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose_of(page)):
        path, _, anchor = target.partition("#")
        yield path, anchor


def _cells(line: str) -> list[str]:
    return re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
