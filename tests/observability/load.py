"""What people and programs do to image search, faults among it: uploads, searches, pictures, URLs of every kind."""

import http.client
import http.server
import json
import pathlib
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"
TEXTS = ["a castle", "a giraffe", "a red car", "a castle", "boats in a harbour"]


class Site(http.server.BaseHTTPRequestHandler):
    """Another site: /picture-N is an image, /broken answers 500, /missing 404."""

    def do_GET(self):
        if not self.path.startswith("/picture"):
            self.send_error(500 if self.path.startswith("/broken") else 404)
            return
        # Bytes after the end change the image's identity, and nothing that is seen.
        body = next(FIXTURES.glob("photos/*.jpg")).read_bytes() + self.path.encode()
        self.send_response(200)
        self.send_header("content-type", "image/jpeg")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve_site():
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{site.server_port}"


class Load:
    """Goes on in the background until it is stopped. A server that is away is a part of it."""

    def __init__(self, url, site):
        self.url, self.site = url, site
        self.stopped = threading.Event()
        self.rounds = 0
        self.first_image = None
        # Whether the other site answers some with 500.
        self.breaks = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def stop(self):
        self.stopped.set()
        self.thread.join()

    def _run(self):
        photos = sorted(FIXTURES.glob("photos/*.jpg"))
        while not self.stopped.is_set():
            try:
                self._round(photos[self.rounds % len(photos)])
                self.rounds += 1
            # An answer that breaks off is neither whole HTTP nor whole JSON.
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.2)

    def _round(self, photo):
        photo_bytes = photo.read_bytes() + str(self.rounds // 5).encode()
        image_id = self._upload(photo.name, photo_bytes)
        self._upload("damaged.jpg", photo_bytes[:200] + str(self.rounds).encode())
        self._upload("no-image.txt", b"hello")
        urls = [f"{self.site}/{path}-{self.rounds}" for path in ("picture", "missing") + ("broken",) * self.breaks]
        self.send("POST", "/api/v1/ingest", json.dumps({"urls": urls}).encode(), "application/json")
        for text in TEXTS:
            self.send("GET", "/api/v1/image/search?" + urllib.parse.urlencode({"text": text}))
        self.send("POST", "/api/v1/image/search", *form("file", photo.name, photo_bytes))
        self.send("GET", "/api/v1/image?limit=10")
        self.send("GET", "/api/v1/image/search?text=")
        self.send("GET", "/api/v1/ingest?limit=5")
        if image_id:
            self.first_image = self.first_image or image_id
            # Twice, for what is remembered; the first one's copy is found in the store by a process that was started again.
            for path in (f"/images/{image_id}", f"/images/{image_id}?w=200", f"/images/{self.first_image}?w=200"):
                self.send("GET", path)
                self.send("GET", path)
            self.send("GET", f"/api/v1/image/{image_id}/similar")
            if self.rounds % 7 == 6 and image_id != self.first_image:
                self.send("DELETE", f"/api/v1/ingest/images/{image_id}")
        self.send("GET", f"/images/{'0' * 64}")
        self.send("GET", "/nowhere")

    def _upload(self, name, content):
        answer = self.send("POST", "/api/v1/ingest", *form("file", name, content))
        tasks = json.loads(answer).get("tasks", [{}])
        return tasks[0].get("image_id")

    def send(self, method, path, body=None, content_type=None):
        headers = {"content-type": content_type} if content_type else {}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            return error.read()


def form(field, name, content):
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\ncontent-disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
