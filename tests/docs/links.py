"""Where the links of all Markdown files lead: files and folders that are there, headings that the page has."""

import re
import subprocess
import urllib.parse

FENCES = re.compile(r"^\s*```.*?^\s*```\s*$", re.M | re.S)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^\s*\[[^\]]+\]:\s+(\S+)", re.M)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.M)


def check(root):
    """Each file that git knows or would take, with what is wrong in it."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.run(listed, cwd=root, capture_output=True, text=True, check=True).stdout.split("\n")
    # A file that was removed and not committed yet is still listed.
    files = [root / name for name in sorted(filter(None, names)) if (root / name).exists()]
    assert files, "git knows no Markdown files"
    return [(str(path.relative_to(root)), faults_of(path, root)) for path in files]


def faults_of(path, root):
    text = CODE.sub("", FENCES.sub("", path.read_text()))
    targets = [*LINK.findall(text), *REFERENCE.findall(text)]
    return [fault for target in targets if (fault := fault_of(path, target, root))]


def fault_of(path, target, root):
    if urllib.parse.urlsplit(target).scheme:
        return None
    file, _, anchor = urllib.parse.unquote(target).partition("#")
    found = (path.parent / file).resolve() if file else path
    if not found.is_relative_to(root):
        return f"{target} leads out of the project"
    if not found.exists():
        return f"{target} leads to nothing"
    if anchor and found.suffix == ".md" and anchor not in anchors(found):
        return f"{target} leads to no heading"
    return None


def anchors(path):
    """As code hosts make them of headings."""
    found = set()
    for heading in HEADING.findall(FENCES.sub("", path.read_text())):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        anchor = base = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = 0
        while anchor in found:
            number += 1
            anchor = f"{base}-{number}"
        found.add(anchor)
    return found
