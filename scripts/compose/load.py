"""People at work while copies die: they upload, watch, talk and delete. What was acknowledged is written down and looked up in the end;
what failed is counted with its time."""

import hashlib
import threading
import time

from containers import Failed, until
from gateway import Follower
from person import Cut, Refused, Upload, part

# Of 12 MiB: a video in an S3 store is a part of 8 MiB and a rest, and most pieces are neither.
PIECE = 2 << 20


class Load:
    """Runs until `end`; `check` then holds what was acknowledged against what is there."""

    def __init__(self, owner, other, clip, content, video):
        self.owner, self.other, self.clip, self.content, self.video = owner, other, clip, content, video
        self.ending = threading.Event()
        self.lock = threading.Lock()
        # Violations end the run; failures are requests without the expected answer.
        self.violations, self.failures = [], []
        self.comments, self.ready, self.deleted, self.unfinished = set(), set(), set(), set()
        self.done = {"upload": 0, "watch": 0, "talk": 0, "delete": 0}
        self.followers = [Follower(person, video) for person in (owner, other, owner, other)]
        for follower in self.followers:
            until("everybody is in the room", 30, follower.joined.is_set)
        works = [self._upload, self._watch, self._watch, self._talk, self._remove]
        self.threads = [threading.Thread(target=self._loop, args=(work,), daemon=True) for work in works]
        for thread in self.threads:
            thread.start()

    def _loop(self, work):
        while not self.ending.is_set():
            try:
                work()
            except (Cut, Refused) as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001 - whatever else it is ends the run
                self.violations.append(f"{type(error).__name__}: {error}")
                return

    def _failed(self, error):
        """A request failed: fine while a copy dies, but only as a broken connection or 5xx."""
        status = getattr(error, "status", None)
        if status is not None and status < 500:
            self.violations.append(str(error))
        self.failures.append((time.monotonic(), str(error)))
        time.sleep(0.1)

    def _try(self, act):
        """Repeats `act` until it is answered; None at the end of the run."""
        while not self.ending.is_set():
            try:
                return act()
            except (Cut, Refused) as error:
                self._failed(error)
        return None

    def _count(self, what):
        with self.lock:
            self.done[what] += 1
        time.sleep(0.1)

    def _upload(self):
        """One video in pieces. After a failure the offset is asked, as every client does."""
        made = self._try(lambda: self.owner.create("under load"))
        if not made:
            return
        video, grant = made
        self.unfinished.add(video)
        sending = Upload(self.owner.base, grant, self.content)
        if self._try(lambda: sending.begin() or True) is None:
            return
        while not sending.whole() and not self.ending.is_set():
            try:
                sending.send(PIECE)
            except (Cut, Refused) as error:
                self._failed(error)
                self._try(sending.offset)
        if sending.whole():
            with self.lock:
                self.ready.add(video)
                self.unfinished.discard(video)
            self._count("upload")

    def _watch(self):
        path = self.other.media(self.video)
        for number in range(20):
            first = (number * 700_001) % len(self.clip)
            last = min(first + 400_000, len(self.clip) - 1)
            if part(self.other.base, path, first, last) != self.clip[first : last + 1]:
                raise Failed(f"other bytes at {first}-{last} of {path}")
            self._count("watch")
            if self.ending.is_set():
                return

    def _talk(self):
        comment = self.owner.comment(self.video, f"comment {time.monotonic()}")
        with self.lock:
            self.comments.add(comment)
        self._count("talk")
        time.sleep(0.2)

    def _remove(self):
        with self.lock:
            video = next(iter(self.ready), None) if len(self.ready) > 1 else None
        if video:
            self._try(lambda: self.owner.delete(video) or True)
            with self.lock:
                self.ready.discard(video)
                self.deleted.add(video)
            self._count("delete")
        time.sleep(0.3)

    def failing(self, since):
        """Failures since that moment, and the seconds between the first and the last of them."""
        times = [moment for moment, _ in self.failures if moment >= since]
        return len(times), (times[-1] - times[0]) if times else 0.0

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(60)
            if thread.is_alive():
                raise Failed("a request has no end")

    def check(self):
        """Everything that was acknowledged is there. Call after `end`, when all copies are back."""
        self.end()
        until("everybody heard everything", 20, lambda: all(self.comments <= set(f.seen) for f in self.followers))
        for follower in self.followers:
            follower.end()
            if follower.gaps:
                self.violations.append(f"gaps in the room: {follower.gaps}")
        lost = self.comments - set(self.owner.comments(self.video))
        if lost:
            self.violations.append(f"{len(lost)} acknowledged comments are lost")
        expected = hashlib.sha256(self.content).hexdigest()
        for video in self.ready:
            until(f"{video} is ready", 30, lambda video=video: self.owner.video(video)["state"] == "ready")
            whole = part(self.owner.base, self.owner.media(video), 0, len(self.content) - 1)
            if hashlib.sha256(whole).hexdigest() != expected:
                self.violations.append(f"{video} has other bytes")
        for video in self.deleted:
            purged(self.owner, video, len(self.content))
        if self.violations:
            raise Failed("\n  ".join(self.violations[:10]))

    def __str__(self):
        return ", ".join(f"{count} × {what}" for what, count in self.done.items())


def purged(person, video, size):
    """The deletion ends, and its receipt says what the store lost."""
    end = until(f"{video} is purged", 60, lambda: (d := person.deletion(video))["state"] == "done" and d)
    if (end["receipt"]["objects"], end["receipt"]["bytes"]) != (1, size):
        raise Failed(f"receipt of {video}: {end['receipt']}, expected 1 object of {size} bytes")
