"""What a person does, over HTTP. Every request has a connection of its own: it may land on any copy of every service."""

import http.client
import json
import urllib.parse

PASSWORD = "a long enough passphrase"
TIMEOUT = 30


class Refused(Exception):
    """An answer that is not the expected one."""

    def __init__(self, what, status, body):
        super().__init__(f"{what}: {status} {body[:300]!r}")
        self.status = status


class Cut(Exception):
    """No whole answer: nobody knows whether it happened."""


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


def ask(base, method, path, body=None, headers=None, timeout=TIMEOUT):
    parts = urllib.parse.urlsplit(base)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    except (OSError, http.client.HTTPException) as error:
        raise Cut(f"{method} {path}: {type(error).__name__} {error}") from error
    finally:
        connection.close()


def checked(answer, what, *expected):
    if answer.status in expected:
        return answer
    raise Refused(what, answer.status, answer.body)


class Person:
    def __init__(self, base, username, token):
        self.base, self.username, self.token = base, username, token

    @staticmethod
    def register(base, username):
        body = json.dumps({"username": username, "password": PASSWORD})
        answer = checked(ask(base, "POST", "/api/v1/users", body, {"Content-Type": "application/json"}), "register", 201)
        return Person(base, username, answer.json()["session"]["token"])

    def call(self, method, path, body=None, expect=(200,)):
        headers = {"Authorization": f"Bearer {self.token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        answer = ask(self.base, method, path, body, headers)
        return checked(answer, f"{method} {path}", *expect)

    def create(self, title):
        """A new video: its id and the grant to upload it."""
        created = self.call("POST", "/api/v1/videos", {"title": title}, (201,)).json()
        return created["video"]["id"], created["upload"]["grant"]

    def video(self, video):
        return self.call("GET", f"/api/v1/videos/{video}").json()

    def media(self, video):
        """The path that plays the video."""
        url = self.call("GET", f"/api/v1/videos/{video}/playback").json()["sources"][0]["url"]
        return urllib.parse.urlsplit(url).path

    def comment(self, video, text):
        return self.call("POST", f"/api/v1/videos/{video}/comments", {"text": text}, (201,)).json()["id"]

    def comments(self, video):
        """Ids of all comments of the video, through the pages."""
        found, cursor = [], ""
        while True:
            page = self.call("GET", f"/api/v1/videos/{video}/comments?limit=100{cursor}").json()
            found += [item["id"] for item in page["items"]]
            if not page["next"]:
                return found
            cursor = f"&cursor={urllib.parse.quote(page['next'])}"

    def delete(self, video):
        self.call("DELETE", f"/api/v1/videos/{video}?permanent=true", expect=(202, 404))

    def deletion(self, video):
        return self.call("GET", f"/api/v1/videos/{video}/deletion").json()


def part(base, path, first, last):
    """The bytes first..=last of what plays at `path`."""
    answer = checked(ask(base, "GET", path, headers={"Range": f"bytes={first}-{last}"}), "range", 206)
    if len(answer.body) != last - first + 1:
        raise Cut(f"{len(answer.body)} bytes of {last - first + 1}")
    return answer.body


class Upload:
    """A resumable upload (tus) in pieces; `acknowledged` is the offset that was answered last."""

    def __init__(self, base, grant, content):
        self.base, self.grant, self.content = base, grant, content
        self.path, self.acknowledged = None, 0

    def headers(self, more=None):
        return {"Authorization": f"Bearer {self.grant}", "Tus-Resumable": "1.0.0", **(more or {})}

    def begin(self):
        headers = self.headers({"Upload-Length": str(len(self.content))})
        answer = checked(ask(self.base, "POST", "/uploads", b"", headers), "begin an upload", 201)
        self.path = urllib.parse.urlsplit(answer.headers["Location"]).path

    def offset(self):
        """What the service says it has; it must be all that it has ever acknowledged."""
        answer = checked(ask(self.base, "HEAD", self.path, headers=self.headers()), "ask the offset", 200)
        offset = int(answer.headers["Upload-Offset"])
        if offset < self.acknowledged:
            raise AssertionError(f"{self.path}: {self.acknowledged} bytes were acknowledged, {offset} are there")
        self.acknowledged = offset
        return offset

    def send(self, size):
        """The next `size` bytes."""
        piece = self.content[self.acknowledged : self.acknowledged + size]
        more = {"Upload-Offset": str(self.acknowledged), "Content-Type": "application/offset+octet-stream"}
        answer = checked(ask(self.base, "PATCH", self.path, piece, self.headers(more)), "send a piece", 204)
        offset = int(answer.headers["Upload-Offset"])
        if offset != self.acknowledged + len(piece):
            raise AssertionError(f"{self.path}: {offset} acknowledged after {self.acknowledged} + {len(piece)}")
        self.acknowledged = offset

    def whole(self):
        return self.acknowledged == len(self.content)


def upload(base, grant, content, size):
    """All of `content` in pieces of `size`, the offset asked between them."""
    sending = Upload(base, grant, content)
    sending.begin()
    while not sending.whole():
        sending.send(size)
        sending.offset()
    return sending


