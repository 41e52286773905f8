"""Build the documentation with warnings as errors, and check its internal links.

    python docs/build.py

The site is written to ``docs/_build/html``; open ``index.html`` there.
"""

import shutil
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.cmd.build import main as sphinx

HERE = Path(__file__).parent
SITE = HERE / "_build" / "html"


class Page(HTMLParser):
    """The anchors of a page and what it links to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors, self.links = set[str](), set[str]()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors.add(given.get("id") or "")
        self.links.add(given.get("href" if tag in ("a", "link") else "src") or "")


def broken_links(site: Path) -> list[str]:
    """Return the internal links of a site that lead to no file or to no anchor."""
    pages = {path: Page(path) for path in site.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc or not link:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            anchors = pages[target].anchors if target in pages else set()
            known = not url.fragment or target not in pages or unquote(url.fragment) in anchors
            if not target.exists() or not known:
                broken.append(f"{path.relative_to(site)}: {link}")
    return broken


def main() -> int:
    start = time.perf_counter()
    for generated in (HERE / "_build", HERE / "api", HERE / "notebooks"):
        shutil.rmtree(generated, ignore_errors=True)
    status = sphinx(["-W", "--keep-going", "-q", "-b", "html", str(HERE), str(SITE)])
    broken = [] if status else broken_links(SITE.resolve())
    print(*(f"broken link: {link}" for link in broken), sep="\n", end="\n" if broken else "")
    pages = len(list(SITE.rglob("*.html")))
    print(f"{pages} pages, {len(broken)} broken links, {time.perf_counter() - start:.0f} s")
    return status or bool(broken)


if __name__ == "__main__":
    sys.exit(main())
