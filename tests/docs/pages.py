"""A page as far as its test reads it: fences of commands, what they print, and the comments that steer the test."""

import dataclasses
import re

FENCE = re.compile(r"^\s*```(\w*)\s*$")
SHELLS = {"sh", "bash", "shell", "console"}
PRINTED = {"text", "json"}


@dataclasses.dataclass
class Block:
    line: int
    commands: str
    skipped: str = None
    fails: bool = False
    prints: str = None

    @property
    def title(self):
        return self.commands.strip().split("\n")[0]


@dataclasses.dataclass
class Page:
    blocks: list = dataclasses.field(default_factory=list)
    # The line of each, and what is wrong there.
    faults: list = dataclasses.field(default_factory=list)
    has_server: bool = True


def read(path):
    page = Page()
    lines = iter(enumerate(path.read_text().split("\n"), 1))
    # What the last comment says of the next fence, and the fence whose output may come now.
    markers, last = {}, None
    for number, line in lines:
        if fence := FENCE.match(line):
            text = "\n".join(until(lines, lambda line: line.strip() == "```"))
            if fence[1] in SHELLS:
                last = Block(number, text, **markers)
                page.blocks.append(last)
                markers = {}
                continue
            if fence[1] in PRINTED and last:
                last.prints = text
        elif line.startswith("<!--"):
            rest = [] if "-->" in line else until(lines, lambda line: "-->" in line, with_end=True)
            comment = "\n".join([line, *rest]).removeprefix("<!--").removesuffix("-->").strip()
            markers |= understand(comment, page, number)
        elif not line.strip():
            continue
        if markers and not line.startswith("<!--"):
            page.faults.append((number, "the comment before it is of a fence of commands, and this is none"))
            markers = {}
        last = None
    return page


def until(lines, is_end, with_end=False):
    found = []
    for _, line in lines:
        if is_end(line):
            return [*found, line] if with_end else found
        found.append(line)
    return found


def understand(comment, page, number):
    """What a comment says of the next fence."""
    kind, _, rest = comment.partition(":")
    if kind == "not run" and rest.strip():
        return {"skipped": rest.strip()}
    if comment == "fails":
        return {"fails": True}
    if kind == "run before":
        page.blocks.append(Block(number, rest.strip()))
    elif comment == "run without a server":
        page.has_server = False
    elif not comment.startswith("Generated from "):
        page.faults.append((number, f"this comment says nothing to the test: {comment}"))
    return {}
