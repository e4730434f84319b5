#!/usr/bin/env python3
"""Finds import cycles between the source files of each crate.

    scripts/import-cycles.py [MANIFEST...]    by default Cargo.toml and fuzz/Cargo.toml

Every path into the crate, in a `use` or anywhere else, is an import of the file that its module is
in. Re-exports are followed, so `crate::Batch` is an import of the file that defines `Batch`, not
only of the one that re-exports it. A file and the files of the modules below it belong together, so
imports between them do not count. Neither does anything that is only compiled for tests. Macros are
not expanded.

Prints each cycle with its files and one import for each edge, and exits with 1 if there is one.
"""

import json
import os
import re
import subprocess
import sys

TOKEN = re.compile(
    r"""
      (?P<skip> \s+ | //[^\n]* )
    | (?P<comment> /\* )
    | (?P<string> (?:b|c)?"(?:[^"\\]|\\.)*" | b?'(?:[^'\\]|\\[^u]|\\x..|\\u\{[^}]*\})' )
    | (?P<raw> (?:b|c)?r(?P<hashes>\#*)" )
    | (?P<word> (?:r\#)?[^\W\d]\w* )
    | (?P<other> '\w+ | \d\w*(?:\.\d\w*)? | :: | . )
    """,
    re.VERBOSE | re.DOTALL,
)
CLOSING = {"{": "}", "(": ")", "[": "]"}
ITEMS = {"async", "const", "enum", "extern", "fn", "impl", "mod", "static", "struct", "trait", "type", "union", "unsafe", "use"}


class Module:
    """A module, whether it is a file or inline in one."""

    def __init__(self, name, parent, file):
        self.name, self.parent, self.file = name, parent, file
        self.children = {}
        # Names bound by `use`, with the path that each stands for, and the paths whose contents are all imported.
        self.bound, self.globs = {}, []

    def path(self):
        return self.parent.path() + [self.name] if self.parent else []


class Crate:
    """The modules of a crate, and the paths in its files."""

    def __init__(self, root):
        self.modules = {}  # by file
        self.paths = []  # (module, line, words)
        self.root = Module("crate", None, root)
        self.read(self.root, os.path.dirname(root))

    def read(self, module, folder):
        """Reads a module's file. The files of its submodules are in `folder`."""
        self.modules[module.file] = module
        with open(module.file, encoding="utf-8") as source:
            Reader(self, tokens(source.read())).items(module, folder)

    def resolve(self, module, words, seen=()):
        """The modules that a path leads to: those that re-export its item, and the one that defines it.

        A path that begins with another crate's name leads nowhere else than to the module it is in.
        """
        first, *rest = words
        if first == "crate":
            module = self.root
        elif first == "super":
            module = module.parent or module
        elif first != "self":
            rest = words
        while rest:
            word, *rest = rest
            if word == "super":
                module = module.parent or module
            elif word in module.children:
                module = module.children[word]
            elif word != "self":
                return self.re_exported(module, word, rest, seen)
        return [module]

    def re_exported(self, module, word, rest, seen):
        """The same for what `word` means in a module that has no submodule of this name."""
        key = (id(module), word)
        if key in seen:
            return [module]
        seen = (*seen, key)
        if word in module.bound:
            return [module] + self.resolve(module, module.bound[word] + rest, seen)
        for path in module.globs:
            target = self.resolve(module, path, seen)[-1]
            if word in target.children or word in target.bound:
                return [module] + self.resolve(target, ["self", word, *rest], seen)
        return [module]

    def edges(self):
        """For each file, the files that it imports, with the first line and path for each."""
        edges = {file: {} for file in self.modules}
        for module, line, words in self.paths:
            for target in self.resolve(module, words):
                if not self.belong_together(module.file, target.file):
                    edges[module.file].setdefault(target.file, (line, "::".join(words)))
        return edges

    def belong_together(self, one, other):
        one, other = sorted((self.modules[one].path(), self.modules[other].path()), key=len)
        return one == other[: len(one)]


class Reader:
    """Reads the tokens of one file."""

    def __init__(self, crate, read):
        self.crate, self.tokens, self.at = crate, read, 0

    def peek(self, ahead=0):
        at = self.at + ahead
        return self.tokens[at][0] if at < len(self.tokens) else ""

    def next(self):
        self.at += 1
        return self.tokens[self.at - 1][0]

    def items(self, module, folder):
        """Reads up to the end of a module. Looks into all blocks, since items and paths are everywhere."""
        depth, file_of_next = 0, None
        while word := self.peek():
            line = self.tokens[self.at][1]
            if word == "#" and self.peek(1) == "[":
                attribute = self.attribute()
                if attribute[:1] == ["cfg"] and "test" in attribute and not {"any", "not"} & set(attribute):
                    self.skip_item()
                elif attribute[:2] == ["path", "="]:
                    file_of_next = attribute[2].strip('"')
            elif word == "mod" and self.peek(2) in (";", "{"):
                self.module(module, folder, file_of_next)
                file_of_next = None
            elif word == "use":
                self.next()
                if self.peek() != "<":  # `impl Trait + use<'a>`
                    self.use(module, line, [])
            elif word == "pub" and self.peek(1) == "(" and self.peek(2) in ("crate", "self", "super", "in"):
                self.next()
                self.skip_group()
            elif is_word(word) and self.peek(1) == "::":
                words = [self.next()]
                while self.peek() == "::" and is_word(self.peek(1)):
                    self.next()
                    words.append(self.next())
                self.crate.paths.append((module, line, words))
            else:
                self.next()
                depth += (word == "{") - (word == "}")
                if depth < 0:
                    return

    def module(self, parent, folder, file):
        """Reads `mod NAME;` with its file, or `mod NAME { … }`."""
        self.next()
        name = self.next()
        below = os.path.join(folder, name)
        if self.next() == "{":
            module = parent.children[name] = Module(name, parent, parent.file)
            self.items(module, below)
            return
        if file:
            # Relative to the folder of the declaring file; its own submodules are next to it.
            file = os.path.join(os.path.dirname(parent.file), file)
            below = os.path.dirname(file)
        else:
            file = next((file for file in (f"{below}.rs", os.path.join(below, "mod.rs")) if os.path.exists(file)), None)
        if file is None:
            sys.exit(f"error: {parent.file} declares a module {name}, whose file is missing")
        module = parent.children[name] = Module(name, parent, file)
        self.crate.read(module, below)

    def use(self, module, line, prefix):
        """Reads one tree of a `use`, up to the `;`, `,` or `}` behind it."""
        words = list(prefix)
        while (word := self.next()) not in (";", ",", "}", ""):
            if word == "{":
                while self.peek() != "}":
                    self.use(module, line, words)
                    if self.tokens[self.at - 1][0] == "}":
                        self.at -= 1
                self.next()
                words = []
            elif word == "*":
                self.crate.paths.append((module, line, words))
                module.globs.append(words)
                words = []
            elif word == "as":
                name = self.next()
                self.crate.paths.append((module, line, words))
                module.bound[name] = words
                words = []
            elif is_word(word) and not (word == "self" and words):
                words.append(word)
        if words:
            self.crate.paths.append((module, line, words))
            module.bound.setdefault(words[-1], words)

    def attribute(self):
        """Reads `#[…]`; returns the tokens inside."""
        self.next()
        start = self.at + 1
        self.skip_group()
        return [word for word, _ in self.tokens[start : self.at - 1]]

    def skip_group(self):
        """Skips everything between a bracket and its counterpart."""
        depth = 0
        while word := self.peek():
            depth += (word in CLOSING) - (word in CLOSING.values())
            self.next()
            if depth == 0:
                return

    def skip_item(self):
        """Skips the item, field, statement or expression behind an attribute."""
        while self.peek() == "#":
            self.attribute()
        if self.peek() == "pub":
            self.next()
            if self.peek() == "(":
                self.skip_group()
        is_item = self.peek() in ITEMS
        while word := self.peek():
            if word == ";" or (word == "," and not is_item):
                self.next()
                return
            if word in CLOSING:
                self.skip_group()
                if is_item and word == "{":
                    return
            elif word in CLOSING.values():
                return
            else:
                self.next()


def is_word(token):
    return token[:1].isidentifier()


def tokens(text):
    """The tokens of a source text with their lines, without comments."""
    found, at, line = [], 0, 1
    while at < len(text):
        match = TOKEN.match(text, at)
        end = match.end()
        if match["comment"]:
            end = end_of_comment(text, end)
        elif match["raw"]:
            closing = '"' + match["hashes"]
            end = text.index(closing, end) + len(closing)
        if match["word"]:
            found.append((match["word"].removeprefix("r#"), line))
        elif match["string"] or match["other"]:
            found.append((match.group(), line))
        line += text.count("\n", at, end)
        at = end
    return found


def end_of_comment(text, at):
    """Where a block comment ends, which may contain others."""
    depth = 1
    for match in re.compile(r"/\*|\*/").finditer(text, at):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return match.end()
    return len(text)


def cycles(edges):
    """The strongly connected components of more than one file (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(file):
        index[file] = low[file] = len(index)
        stack.append(file)
        for other in edges[file]:
            if other not in index:
                visit(other)
            if other in stack:
                low[file] = min(low[file], low[other])
        if low[file] == index[file]:
            at = stack.index(file)
            component = stack[at:]
            del stack[at:]
            if len(component) > 1:
                found.append(sorted(component))

    for file in edges:
        if file not in index:
            visit(file)
    return sorted(found)


def roots(manifest):
    """The root files of all targets of a workspace."""
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1", "--manifest-path", manifest]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return sorted({target["src_path"] for package in metadata["packages"] for target in package["targets"]})


def main():
    sys.setrecursionlimit(10_000)
    manifests = sys.argv[1:] or ["Cargo.toml", "fuzz/Cargo.toml"]
    files, found = set(), False
    for root in (root for manifest in manifests for root in roots(manifest)):
        edges = Crate(root).edges()
        files.update(edges)
        for cycle in cycles(edges):
            found = True
            print(f"import cycle between {len(cycle)} files:")
            for file in cycle:
                print(f"  {os.path.relpath(file)}")
                for other, (line, path) in sorted(edges[file].items()):
                    if other in cycle:
                        print(f"    line {line} imports {os.path.relpath(other)}: {path}")
    if found:
        sys.exit("error: files import each other; move what they share into a file below all of them")
    print(f"no import cycles between {len(files)} files")


main()
