"""Drives the platform of docker-compose.yml: the journey over every copy, kills, polite stops, restarts of what it stands on, and the
embedded profile. Called by scripts/test-compose.sh inside of the daemon's namespaces; needs Python's standard library and ffmpeg."""

import argparse
import hashlib
import os
import re
import struct
import subprocess
import sys
import time
from pathlib import Path

from containers import Compose, Failed, docker, inspect, until
from gateway import Follower
from load import Load, purged
from person import Cut, Person, ask, checked, part, upload

SERVICES = ["api", "stream", "scheduler", "proxy"]
COPIES = {"api": 2, "stream": 3, "scheduler": 2, "proxy": 2}
SITE = "http://127.0.0.1:8080"
BEGUN = time.monotonic()


def say(text):
    print(f"   {time.monotonic() - BEGUN:4.0f} s  {text}", flush=True)


def expect(holds, text):
    if not holds:
        raise Failed(text)


def clip(folder, size):
    """A real video of `size` bytes: ffmpeg's, with a `free` box of random bytes behind it."""
    path = folder / "clip.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc=size=320x240:rate=15:duration=3", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    if not path.exists():
        subprocess.run(["ffmpeg", "-v", "error", *picture, str(path)], check=True, timeout=60)
    video = path.read_bytes()
    rest = size - len(video)
    return video + struct.pack("!I4s", rest, b"free") + os.urandom(rest - 8)


def start(compose):
    """One command, with the copies; it returns when all health checks have passed in their order."""
    scale = [word for service, count in COPIES.items() for word in ("--scale", f"{service}={count}")]
    begun = time.monotonic()
    compose("up", "--detach", "--no-build", *scale, deadline=240)
    compose.all_healthy([*SERVICES, "edge", "postgres", "nats", "store"], 60)
    say(f"up and healthy in {time.monotonic() - begun:.0f} s: " + ", ".join(f"{n} × {s}" for s, n in COPIES.items()))
    for service, count in COPIES.items():
        copies = compose.copies(service)
        expect(len(copies) == count, f"{len(copies)} copies of {service}")
        settings = inspect(copies[0].container)
        expect(settings["Config"]["User"] == "10001:10001", f"{service} runs as {settings['Config']['User']}")
        expect(settings["HostConfig"]["ReadonlyRootfs"], f"{service} may write its root")
        expect(settings["HostConfig"]["CapDrop"] == ["ALL"], f"{service} has capabilities")
        expect(not settings["HostConfig"]["PortBindings"], f"{service} publishes a port")


def status(base, path):
    """What a range of the video is answered; None when it broke off, as a deletion lets what is being sent."""
    try:
        return ask(base, "GET", path, headers={"Range": "bytes=0-99"}).status
    except Cut:
        return None


def journey(people, content):
    """Sign up, upload in pieces, watch by ranges, talk with everybody hearing it, delete with a receipt."""
    ann, ben = people
    video, grant = ann.create("A journey")
    sending = upload(ann.base, grant, content, len(content) // 6 + 1)
    until("the video is ready", 30, lambda: ann.video(video)["state"] == "ready")
    path = ben.media(video)
    size = len(content)
    for first, last in [(0, 99), (size // 2, size // 2 + size // 10), (size - 1000, size - 1)] * 3:
        expect(part(ben.base, path, first, last) == content[first : last + 1], f"other bytes at {first}-{last}")
    whole = checked(ask(ben.base, "GET", path), "the whole video", 200).body
    expect(hashlib.sha256(whole).digest() == hashlib.sha256(content).digest(), "the video came back with other bytes")

    # Enough sockets that every gateway has some.
    followers = [Follower(person, video) for person in (ann, ben) * 3]
    for follower in followers:
        until("everybody is in the room", 30, follower.joined.is_set)
    written = time.monotonic()
    comment = ann.comment(video, "Does everybody hear me?")
    until("everybody heard the comment", 20, lambda: all(comment in follower.seen for follower in followers))
    slowest = max(follower.seen[comment] for follower in followers) - written
    for follower in followers:
        follower.end()
        expect(follower.reconnects <= 1, f"a socket came back {follower.reconnects} times: {follower.codes}")

    ann.delete(video)
    gone = time.monotonic()
    until("no copy plays the deleted video", 10, lambda: all(status(ben.base, path) == 404 for _ in range(6)))
    gone = time.monotonic() - gone
    purged(ann, video, len(content))
    say(
        f"the journey: {size >> 20} MiB in 6 pieces, ranges, a comment heard by 6 sockets within {slowest * 1000:.0f} ms, "
        f"deleted for all copies within {gone * 1000:.0f} ms, a receipt"
    )
    return sending.path


def spread(compose, path):
    """The requests of the journey landed on different copies."""
    for service, pattern in [("proxy", "/api/v1/"), ("api", "/api/v1/videos"), ("stream", f"PATCH {path}"), ("stream", "GET /media/")]:
        lines = [copy.log().count(pattern) for copy in compose.copies(service)]
        expect(sum(count > 0 for count in lines) > 1, f"one copy of {service} answered all: {pattern} {lines}")
        say(f"{service}: {pattern.split('/uploads')[0].strip()} was answered by its copies {' + '.join(map(str, lines))} times")

    moved = [[copy.metric(f"sluice_stream_{kind}_bytes_total") for kind in ("sent", "relayed")] for copy in compose.copies("stream")]
    sent, relayed = (sum(of) for of in zip(*moved, strict=True))
    expect(sent == relayed > 0, f"{sent} bytes of media were sent, of which the kernel moved {relayed}")
    say(f"stream: the kernel moved all {sent / 2**20:.0f} MiB that were sent from the bucket")
    near = [copy.metric('sluice_proxy_connections_total{way="unix"}') for copy in compose.copies("proxy")]
    expect(all(near), f"edges opened {near} connections to services by Unix sockets")
    say(f"proxy: its copies opened {' + '.join(f'{count:.0f}' for count in near)} connections by Unix sockets")


def kills(compose, load):
    for service in SERVICES:
        copy = compose.copies(service)[0]
        time.sleep(2)
        moment = time.monotonic()
        pid = copy.crash()
        until(f"{copy.name} is back", 60, lambda: copy.state()["Pid"] not in (0, pid) and copy.health() == "healthy")
        time.sleep(2)
        count, window = load.failing(moment)
        say(f"kill -9 of one {service}: {count} requests failed, within {window:.1f} s")


def stops(compose, load):
    for service in SERVICES:
        copy = compose.copies(service)[0]
        time.sleep(2)
        moment = time.monotonic()
        took, code = copy.stop()
        expect(code == 0, f"{copy.name} ended with {code} after SIGTERM")
        copy.start()
        until(f"{copy.name} is back", 60, lambda: copy.health() == "healthy")
        time.sleep(2)
        count, _ = load.failing(moment)
        say(f"stop of one {service}: ended in {took:.1f} s, {count} requests failed")
        expect(count == 0, "a polite stop failed requests:\n  " + "\n  ".join(text for _, text in load.failures[-count:][:5]))


def restarts(compose, load):
    for service in ["postgres", "nats", "store"]:
        time.sleep(2)
        moment = time.monotonic()
        compose("restart", service)
        compose.all_healthy([service])
        back = time.monotonic()
        before = dict(load.done)
        until(f"everything goes on after the restart of {service}", 30, lambda: all(load.done[k] > before[k] for k in before))
        resumed = time.monotonic() - back
        count, window = load.failing(moment)
        say(f"restart of {service}: away {back - moment:.1f} s, all work went on {resumed:.1f} s after; {count} requests failed within {window:.1f} s")


def bucket(compose):
    """What the store says is in the bucket: (objects, unfinished multipart uploads)."""
    text = compose("exec", "-T", "store", "/garage", "bucket", "info", "sluice")
    # What is not there is not mentioned.
    unfinished = re.search(r"^Unfinished multipart uploads:\s+(\d+)", text, re.M)
    objects = re.search(r"^Objects:\s+(\d+)", text, re.M)
    expect(objects, f"garage bucket info says\n{text}")
    return int(objects[1]), int(unfinished[1]) if unfinished else 0


def emptied(compose, deadline):
    """Nothing is left in the bucket: receipts are the truth."""
    found = []
    try:
        until("", deadline, lambda: found.append(bucket(compose)) or found[-1] == (0, 0))
    except Failed as failed:
        objects, unfinished = found[-1]
        raise Failed(f"everything is deleted, and the bucket has {objects} objects and {unfinished} unfinished uploads") from failed


def scaled(compose, folder):
    start(compose)
    people = [Person.register(SITE, name) for name in ("ann", "ben")]
    content = clip(folder, 40 << 20)
    spread(compose, journey(people, content))
    emptied(compose, 30)
    say("the bucket is empty")

    played, grant = people[0].create("Watched while copies die")
    upload(SITE, grant, content, 8 << 20)
    left = {played}
    for name, act in [("kills", kills), ("polite stops", stops), ("restarts", restarts)]:
        load = Load(*people, content, clip(folder, 12 << 20), played)
        try:
            act(compose, load)
        except Failed as failed:
            raise Failed("\n  ".join([str(failed), *load.violations[:5]])) from failed
        compose.all_healthy(SERVICES)
        load.check()
        # Some in the middle of their upload: that goes, too.
        left |= load.ready | load.unfinished
        say(f"{name}: {load}: all of it is there")
    for video in left:
        people[0].delete(video)
    emptied(compose, 90)
    say("everything deleted: the bucket is empty")
    compose("down", "--volumes", "--timeout", "45", deadline=180)
    expect(not docker("ps", "--all", "--quiet").strip(), "containers are left")


def embedded(compose, folder):
    compose("--profile", "embedded", "up", "--detach", "--no-build", "embedded", deadline=60)
    compose.all_healthy(["embedded"])
    people = [Person.register(SITE, name) for name in ("ann", "ben")]
    journey(people, clip(folder, 5 << 20))
    took, code = compose.copies("embedded")[0].stop()
    expect(code == 0, f"the embedded way ended with {code} after SIGTERM")
    say(f"the embedded profile: healthy, the journey, ended in {took:.1f} s")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("--only", choices=["scaled", "embedded"])
    arguments.add_argument("compose", nargs="+")
    given = arguments.parse_args()
    compose = Compose(given.compose)
    try:
        if given.only != "embedded":
            scaled(compose, given.folder)
        if given.only != "scaled":
            embedded(compose, given.folder)
    except Exception as error:  # noqa: BLE001 - whatever it is, the run has failed, and one line says why
        print(f"test-compose: FAILED: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
