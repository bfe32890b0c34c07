"""A socket of the real-time gateway (RFC 6455, client side, text frames only) that follows one room."""

import base64
import json
import os
import select
import socket
import struct
import threading
import time
import urllib.parse


class Closed(Exception):
    """The connection ended; `code` is the close code, 1006 when there was none."""

    def __init__(self, code):
        super().__init__(f"closed {code}")
        self.code = code


class Connection:
    def __init__(self, person, timeout=10):
        parts = urllib.parse.urlsplit(person.base)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws?sendID={person.username}&platformID=7&operationID=open HTTP/1.1\r\n"
            f"Host: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\nAuthorization: Bearer {person.token}\r\n\r\n".encode()
        )
        self.buffer = b""
        head = self._until(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(head.split(b"\r\n")[0].decode())

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise Closed(1006)
        self.buffer += data

    def _until(self, mark):
        while mark not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(mark, 1)
        return head

    def _take(self, count):
        while len(self.buffer) < count:
            self._more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def _frame(self, opcode, payload):
        mask = os.urandom(4)
        length = struct.pack("!B", 0x80 | len(payload)) if len(payload) < 126 else struct.pack("!BH", 0x80 | 126, len(payload))
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self.socket.sendall(bytes([0x80 | opcode]) + length + mask + masked)

    def call(self, name, data):
        operation = base64.b32encode(os.urandom(10)).decode()
        self._frame(1, json.dumps({"reqFuncName": name, "operationID": operation, "data": data}).encode())
        return operation

    def receive(self, timeout):
        """The next event or answer; None when nothing came within `timeout` seconds."""
        if not self.buffer and not select.select([self.socket], [], [], timeout)[0]:
            return None
        first, second = self._take(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._take(8))
        payload = self._take(length)
        match first & 0x0F:
            case 8:
                raise Closed(struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1005)
            case 9:
                self._frame(10, payload)
                return {}
            case 1:
                return json.loads(payload)
            case _:
                return {}

    def close(self):
        self.socket.close()


class Follower(threading.Thread):
    """Follows the room of a video through every reconnect, by the recipe of docs/gateway.md: each entry once and in order."""

    def __init__(self, person, video):
        super().__init__(daemon=True)
        self.person, self.video = person, video
        self.seen, self.last = {}, 0
        self.reconnects, self.codes, self.gaps = 0, [], []
        self.ending, self.joined = threading.Event(), threading.Event()
        self.start()

    def run(self):
        while not self.ending.is_set():
            connection = None
            try:
                connection = Connection(self.person)
                self._follow(connection)
            except Closed as closed:
                self.codes.append(closed.code)
            except OSError:
                self.codes.append(1006)
            finally:
                if connection:
                    connection.close()
            self.reconnects += 1
            self.ending.wait(0.3)

    def _show(self, entry):
        if entry["seq"] <= self.last:
            return
        if entry["seq"] != self.last + 1:
            self.gaps.append((self.last, entry["seq"]))
        self.last = entry["seq"]
        self.seen[(entry["data"] or {}).get("id")] = time.monotonic()

    def _follow(self, connection):
        login = connection.call("Login", {"rooms": [{"videoID": self.video, "afterSeq": self.last}]})
        page, held = login, []
        while not self.ending.is_set():
            message = connection.receive(0.2)
            if not message:
                continue
            if page and message.get("operationID") == page and not message["event"].startswith("On"):
                room = message["data"]["rooms"][0] if page == login else message["data"]
                if message["errCode"] or room.get("errCode"):
                    raise OSError(f"not joined: {message}")
                for entry in room.get("events") or []:
                    self._show(entry)
                if room["complete"]:
                    page = None
                    self.joined.set()
                    for entry in held:
                        self._push(entry)
                else:
                    page = connection.call("JoinRoom", {"videoID": self.video, "afterSeq": self.last})
            elif message.get("event") in ("OnRecvComment", "OnRecvDanmaku", "OnMessageRevoked", "OnRoomInfoChanged"):
                if page:
                    held.append(message["data"])
                else:
                    self._push(message["data"])

    def _push(self, entry):
        if entry["seq"] > self.last + 1:
            # Something is missing: the connection is left, the next one fetches it.
            raise OSError("a gap")
        self._show(entry)

    def end(self):
        self.ending.set()
        self.join(10)
