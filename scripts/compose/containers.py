"""The containers of the run, through docker-compose and docker: copies, kills, polite stops, waiting."""

import json
import os
import signal
import subprocess
import time
import urllib.request

DEADLINE = 120


class Failed(Exception):
    """Something that has to hold does not."""


def until(what, deadline, ask):
    """Asks until the answer is true; fails after `deadline` seconds with what was waited for. Returns the answer."""
    end = time.monotonic() + deadline
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failed(f"waited {deadline} s: {what}")
        time.sleep(0.1)


class Compose:
    def __init__(self, command):
        self.command = command

    def __call__(self, *arguments, deadline=DEADLINE):
        run = subprocess.run([*self.command, *arguments], capture_output=True, text=True, timeout=deadline, check=False)
        if run.returncode != 0:
            lines = (run.stdout + run.stderr).strip().splitlines()
            raise Failed(f"docker-compose {' '.join(arguments)}: " + "\n  ".join(lines[-12:]))
        return run.stdout

    def copies(self, service):
        """Running containers of `service`, the oldest first."""
        ids = self("ps", "-q", service).split()
        found = [inspect(name) for name in ids]
        running = [copy for copy in found if copy["State"]["Running"]]
        return [Copy(copy["Id"], service) for copy in sorted(running, key=lambda copy: copy["Created"])]

    def all_healthy(self, services, deadline=60):
        until(f"healthy: {', '.join(services)}", deadline, lambda: all(self.healthy(service) for service in services))

    def healthy(self, service):
        copies = self.copies(service)
        return copies and all(copy.health() == "healthy" for copy in copies)


def docker(*arguments, deadline=DEADLINE, check=True):
    run = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=deadline, check=False)
    if check and run.returncode != 0:
        raise Failed(f"docker {' '.join(arguments)}: {run.stderr.strip()}")
    return run.stdout + run.stderr


def inspect(name):
    return json.loads(docker("inspect", name))[0]


class Copy:
    def __init__(self, container, service):
        self.container = container
        self.service = service
        self.name = inspect(container)["Name"].lstrip("/")

    def state(self):
        return inspect(self.container)["State"]

    def health(self):
        return self.state().get("Health", {}).get("Status")

    def crash(self):
        """kill -9 from outside: docker takes it for a crash, and `restart:` brings the copy back. Returns the process that is gone."""
        pid = self.state()["Pid"]
        os.kill(pid, signal.SIGKILL)
        return pid

    def stop(self):
        """SIGTERM, and the time of stop_grace_period. Returns how long it took and the exit code."""
        begun = time.monotonic()
        docker("stop", "--time", "45", self.container)
        return time.monotonic() - begun, self.state()["ExitCode"]

    def start(self):
        docker("start", self.container)

    def metric(self, name):
        """A number that `/metrics` shows on the internal listener, to which there is a way from here, beside the containers."""
        networks = inspect(self.container)["NetworkSettings"]["Networks"].values()
        address = next(network["IPAddress"] for network in networks)
        with urllib.request.urlopen(f"http://{address}:9090/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return float(next(line.split()[-1] for line in lines if line.startswith(f"{name} ")))

    def log(self):
        return docker("logs", self.container)
