#!/usr/bin/env python3
"""Checks the links of the documentation.

    scripts/check-links.py sources          the Markdown files, as GitHub shows them
    scripts/check-links.py book DIRECTORY   the pages that mdBook made

A link within the documentation must lead to a file, and to a heading or id if it names one; so must an image. A page of the
book may load nothing from other hosts. Links to other hosts are listed, and not followed.
"""

import html.parser
import pathlib
import re
import sys
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
INLINE = re.compile(r"!?\[(?:[^\]\\]|\\.)*\]\(\s*([^)\s]+)(?:\s+\"[^\"]*\")?\s*\)")
# Attributes of elements that make a browser load something.
LOADING = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src"), ("object", "data")}


class Page:
    """The links and anchors of a file; each link with whether it is loaded with the page."""

    def __init__(self):
        self.links = []
        self.anchors = set()


def slug(heading, taken):
    """The anchor that GitHub and mdBook give a heading."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    text = "".join(c for c in text.strip().lower() if c.isalnum() or c in "-_ ").replace(" ", "-")
    count = taken.get(text, 0)
    taken[text] = count + 1
    return f"{text}-{count}" if count else text


def markdown(path):
    page, fence, taken, prose = Page(), None, {}, []
    for line in re.sub(r"<!--.*?-->", "", path.read_text(), flags=re.S).splitlines():
        mark = re.match(r"\s*(```+|~~~+)", line)
        if mark:
            fence = None if fence and mark[1].startswith(fence) else fence or mark[1]
            continue
        if fence:
            continue
        heading = re.match(r"#{1,6} (.*)", line)
        if heading:
            page.anchors.add(slug(heading[1], taken))
        prose.append(line)
    # The text of a link may continue on the next line.
    text = re.sub(r"`[^`]*`", "", "\n".join(prose))
    page.links = [(link, False) for link in INLINE.findall(text)]
    return page


class Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id" or (tag == "a" and name == "name"):
                self.page.anchors.add(value)
            elif (tag, name) in LOADING and value:
                self.page.links.append((value, True))
            elif tag == "a" and name == "href" and value:
                self.page.links.append((value, False))


def book_page(path):
    reader = Reader()
    reader.feed(path.read_text())
    return reader.page


def check(paths, read, root):
    """Returns what is wrong, the number of links, and the external ones."""
    pages, wrong, external, count = {}, [], set(), 0

    def page(path):
        if path not in pages:
            pages[path] = read(path)
        return pages[path]

    for path in paths:
        for link, loaded in page(path).links:
            count += 1
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                if loaded and parts.scheme != "data":
                    wrong.append(f"{path.relative_to(root)}: loads {link} from another host")
                external.add(link)
                continue
            name = f"{path.relative_to(root)}: {link}"
            at = path
            if parts.path:
                at = (path.parent / urllib.parse.unquote(parts.path)).resolve()
                if not at.is_relative_to(root):
                    wrong.append(f"{name} leads out of the documentation")
                    continue
                if at.is_dir() and (at / "index.html").exists():
                    at = at / "index.html"
            if not at.exists():
                wrong.append(f"{name} leads to no file")
            elif parts.fragment and at.suffix in (".md", ".html"):
                if urllib.parse.unquote(parts.fragment) not in page(at).anchors:
                    wrong.append(f"{name}: there is no such heading")
    return wrong, count, external



def unlisted():
    """Pages that no chapter shows, so that nobody finds them."""
    summary = (ROOT / "docs/SUMMARY.md").read_text()
    listed = set(re.findall(r"\]\(([^)]+)\)", re.sub(r"<!--.*?-->", "", summary, flags=re.S)))
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"SUMMARY.md"}
    return [f"docs/SUMMARY.md: {name} is not listed" for name in sorted(pages - listed)]


def main():
    match sys.argv[1:]:
        case ["sources"]:
            paths = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "web/README.md")]
            paths += sorted((ROOT / "docs").glob("*.md"))
            wrong, count, external = check([path for path in paths if path.exists()], markdown, ROOT)
            wrong += unlisted()
        case ["book", directory]:
            root = pathlib.Path(directory).resolve()
            wrong, count, external = check(sorted(root.rglob("*.html")), book_page, root)
        case _:
            sys.exit(__doc__)
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    print(f"{count} links, {len(wrong)} wrong; to other hosts, not followed:")
    for link in sorted(external):
        print(f"  {link}")
    sys.exit(1 if wrong else 0)


main()
