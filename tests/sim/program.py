"""`btcturk-sim` as a process of its own: started, spoken to over real sockets, told to stop."""

from __future__ import annotations

import base64
import hmac
import http.client
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from websockets.sync.client import connect

KEY, SECRET = "PROCESS", b"a secret of some length"
ACCOUNT = f"{KEY}:{base64.b64encode(SECRET).decode()}:TRY=10000000,BTC=2"
COMMAND = [sys.executable, "-m", "btcturk_sim"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parent / "../../src"), "PYTHONDONTWRITEBYTECODE": "1"}


def run(*arguments):
    """The program's (exit code, stdout, stderr) when it is expected to end by itself."""
    done = subprocess.run([*COMMAND, *arguments], env=ENVIRONMENT, capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout, done.stderr


def sign(nonce):
    """What the key's owner writes under a stamp, or under the nonce of a login."""
    return base64.b64encode(hmac.digest(SECRET, (KEY + nonce).encode(), "sha256")).decode()


class Program:
    """A running program; `addresses` are what it printed."""

    def __init__(self, process):
        self.process = process
        self.addresses = json.loads(process.stdout.readline())
        self._stamp = 0
        self._stamping = threading.Lock()

    def connect(self, where="rest"):
        return http.client.HTTPConnection(urlsplit(self.addresses[where]).netloc, timeout=10)

    def signed(self):
        """Headers for one request that is sent now: a stamp ages, and none is used twice, by whatever thread."""
        with self._stamping:
            self._stamp = max(time.time_ns() // 1_000_000, self._stamp + 1)
            stamp = str(self._stamp)
        return {"X-PCK": KEY, "X-Stamp": stamp, "X-Signature": sign(stamp), "Content-Type": "application/json"}

    def send(self, method, path, body=None, *, connection=None, headers=None):
        """The raw response, its body read."""
        every = self.signed()
        with closing(connection or self.connect()) as used:
            used.request(method, path, body and json.dumps(body), every | (headers or {}))
            response = used.getresponse()
            response.content = response.read()
            return response

    def order(self, side, quantity, price):
        """The data of the answer to an order of BTCTRY, and when it came."""
        body = {"pairSymbol": "BTCTRY", "orderType": side, "orderMethod": "limit", "quantity": quantity, "price": price}
        response = self.send("POST", "/api/v1/order", body)
        came_s = time.monotonic()
        assert response.status == 200, response.content
        return json.loads(response.content)["data"], came_s

    def listen(self, **options):
        """A connection to the feed without compression and without a heartbeat of its own."""
        return connect(self.addresses["ws"], ping_interval=None, **({"compression": None} | options))

    def control(self, method, path, body=None):
        request = urllib.request.Request(
            self.addresses["control"] + path, method=method, data=body and json.dumps(body).encode()
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def orders(self):
        return self.control("GET", "/state")["accounts"][KEY]["orders"]


@contextmanager
def program(*arguments, limits="off"):
    """`serve` with one account; killed at the end if it still runs."""
    command = [*COMMAND, "serve", "--account", ACCOUNT, "--limits", limits, *arguments]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Program(process)
        finally:
            if process.poll() is None:
                process.kill()
