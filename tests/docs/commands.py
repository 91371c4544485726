"""The commands of a page, run one fence after the other in one shell, as a reader types them."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

PHOTOS = pathlib.Path(__file__).resolve().parent.parent / "fixtures/photos"
PATIENCE_S = 300
MOST_LINES_SHOWN = 30
# Where the pages say that a server listens: which one, and the setting that moves it.
SERVERS = {3000: "FRONTEND", 8000: "INGESTAPI", 8001: "SEARCHAPI", 8002: "CDNAPI", 9090: "ADMIN"}


def run(page, folder):
    """Each block, how it ended, and what there is to tell of it."""
    blocks = [block for block in page.blocks if not block.skipped]
    ended = {}
    if blocks:
        home, told = folder / "home", folder / "told"
        ports, environment = prepare(home, told)
        with Server(home, told, ports, environment) if page.has_server else Nothing():
            ended = run_all(blocks, home, told, ports, environment)
    return [
        (block, "skipped", [block.skipped]) if block.skipped else (block, *ended[block.line]) for block in page.blocks
    ]


def prepare(home, told):
    """The reader's home folder, and what is in the environment."""
    programs = told / "bin"
    programs.mkdir(parents=True)
    (programs / "imagesearch").symlink_to(pathlib.Path(os.environ["IMAGESEARCH_BIN"]).resolve(strict=True))
    (told / ".curlrc").write_text("fail-with-body\n")
    shutil.copytree(PHOTOS, home / "Pictures", ignore=shutil.ignore_patterns("*.json"))
    for name in ("giraffe.jpg", "cat.jpg"):
        shutil.copy(PHOTOS / name, home)

    held = [socket.socket() for _ in SERVERS]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = dict(zip(SERVERS, (one.getsockname()[1] for one in held)))
    for one in held:
        one.close()
    # Settings of whoever runs this are not the reader's.
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("IMAGESEARCH_", "OTEL_"))}
    listen = {f"IMAGESEARCH_{SERVERS[port]}__LISTEN": f"127.0.0.1:{ports[port]}" for port in SERVERS}
    environment = ours | listen | {
        "HOME": str(home),
        "PATH": f"{programs}:{ours['PATH']}",
        "CURL_HOME": str(told),
        "IMAGESEARCH_SERVER": f"http://localhost:{ports[3000]}",
    }
    return ports, environment


def run_all(blocks, home, told, ports, environment):
    script = told / "script"
    script.write_text("set -eo pipefail\n" + "".join(step(block, told, ports) for block in blocks))
    shell = subprocess.Popen(
        ["bash", "--noprofile", "--norc", script],
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(told / "shell").open("wb"),
        start_new_session=True,
    )
    try:
        shell.wait(PATIENCE_S)
        broke_off = (told / "shell").read_text()
    except subprocess.TimeoutExpired:
        broke_off = f"it had not ended after {PATIENCE_S} s"
    finally:
        # What the page has left running in the background, too.
        try:
            os.killpg(shell.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        shell.wait()

    done = (told / "done").read_text().split() if (told / "done").exists() else []
    ended, is_reached = {}, True
    for block in blocks:
        if str(block.line) in done:
            ended[block.line] = judge(block, told, ports)
        elif is_reached:
            ended[block.line] = "failed", [*printed(block, told), *filter(None, broke_off.split("\n"))]
            is_reached = False
        else:
            ended[block.line] = "failed", ["not reached, since the one before it failed"]
    return ended


def step(block, told, ports):
    """One fence in the script of its page."""
    commands, output = moved(block.commands, ports), f">{told}/{block.line}.out 2>{told}/{block.line}.err"
    done = f"echo {block.line} >>{told}/done\n"
    if not block.fails:
        return f"{{\n{commands}\n}} {output}\n{done}"
    refuse = '[ $code != 0 ] || { echo "it ended with 0, and the page says that it fails" >&2; false; }'
    return f"set +e\n(set -e\n{commands}\n) {output}\ncode=$?\nset -e\n{refuse}\n{done}"


def moved(text, ports):
    """With the ports of this run in place of those that pages name."""
    return re.sub(r"\b(localhost|127\.0\.0\.1):(3000|800[012]|9090)\b", lambda at: f"{at[1]}:{ports[int(at[2])]}", text)


def judge(block, told, ports):
    if block.prints is None:
        return "passed", []
    parts = ["".join(part.split()) for part in moved(block.prints, ports).split("…")]
    found = "".join((told / f"{block.line}.out").read_text().split())
    if re.fullmatch(".*?".join(map(re.escape, parts)), found, re.S):
        return "passed", []
    return "failed", ["it printed something else than the page says:", *printed(block, told)]


def printed(block, told):
    files = [told / f"{block.line}.{kind}" for kind in ("out", "err")]
    lines = [line for file in files if file.exists() for line in file.read_text(errors="replace").split("\n")]
    return [line for line in lines if line.strip()][-MOST_LINES_SHOWN:]


class Server:
    """One that serves, empty, for as long as a page is tried."""

    def __init__(self, home, told, ports, environment):
        self.log, self.ready = told / "server", f"http://127.0.0.1:{ports[9090]}/readyz"
        self.start = lambda: subprocess.Popen(
            ["imagesearch", "up"], cwd=home, env=environment, stdout=self.log.open("wb"), stderr=subprocess.STDOUT
        )

    def __enter__(self):
        self.process = self.start()
        deadline = time.monotonic() + PATIENCE_S
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise SystemExit(f"the server does not serve:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.1)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def is_ready(self):
        try:
            return urllib.request.urlopen(self.ready, timeout=2).status == 200
        except OSError:
            return False


class Nothing:
    def __enter__(self):
        pass

    def __exit__(self, *_):
        pass
