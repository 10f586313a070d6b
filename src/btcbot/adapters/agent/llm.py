"""Asks a language model over HTTP: one request, one deadline, a small answer, and a reason for everything that fails.

The endpoint speaks the form of chat completions that many servers share. Nothing is sent twice, no redirect is followed
and no proxy asked. The key stands in one header and nowhere else: an answer that repeats it is thrown away unread.
"""

from __future__ import annotations

import ssl
import zlib
from typing import Final

import httpx2
import msgspec

from btcbot import __version__
from btcbot.adapters.agent.prompt import SYSTEM, prompt_of
from btcbot.adapters.btcturk.transport import TIMEOUT_S, BodyUnreadable, DeadlineTransport, read_body
from btcbot.config.agent_key import authorization, holds_secret
from btcbot.config.secrets import Secret
from btcbot.decisions.agent import REPLY_CHARACTERS_MAX, Nonsense, check
from btcbot.domain.agent import AgentFailure, AgentQuestion, AgentReply, FailureKind

#: Of an answer no more is ever read: the reply itself, escaped, and what servers put around it.
BODY_BYTES_MAX: Final = 64 * 1024
#: What the model may write at most; a reply of so many tokens is within REPLY_CHARACTERS_MAX in most tongues.
TOKENS_MAX: Final = 1_500


class _Message(msgspec.Struct, frozen=True):
    content: str


class _Choice(msgspec.Struct, frozen=True):
    message: _Message


class _Completion(msgspec.Struct, frozen=True):
    choices: list[_Choice]


_decode: Final = msgspec.json.Decoder(_Completion).decode


class LlmPolicy:
    """An `AgentPolicy`. `captures`: give prompt and text back with the answer. `transport` None opens sockets."""

    def __init__(
        self,
        url: str,
        model: str,
        key: Secret | None,
        *,
        timeout_s: float,
        captures: bool,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._url = httpx2.URL(url)
        self._model = model
        self._key = key
        self._timeout_s = timeout_s
        self._captures = captures
        if transport is None:
            transport = DeadlineTransport(ssl.create_default_context() if self._url.scheme == "https" else None)
        self._transport = transport
        self._headers: list[tuple[bytes, bytes]] = [
            (b"Host", self._url.netloc),
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"identity"),
            (b"Content-Type", b"application/json"),
            (b"User-Agent", f"btcbot/{__version__}".encode("ascii")),
        ]

    def decide(self, question: AgentQuestion) -> AgentReply:
        prompt = prompt_of(question)
        if prompt is None:
            return _failed(FailureKind.TOO_LARGE, f"{len(question.wishes)} wishes do not fit into a question")
        try:
            text = self._ask(prompt)
        except Exception as error:  # noqa: BLE001 - it must not end the cycle, and its words might quote a header
            text = AgentFailure(kind=FailureKind.UNREACHABLE, detail=f"an error of our own: {type(error).__name__}")
        sent, came = (f"{SYSTEM}\n{prompt}", "") if self._captures else ("", "")
        if isinstance(text, AgentFailure):
            return AgentReply(failure=text, prompt=sent)
        if self._captures:
            came = text
        found = check(text, question)
        if isinstance(found, Nonsense):
            failure = AgentFailure(kind=FailureKind.NONSENSE, detail=found.reason)
            return AgentReply(failure=failure, prompt=sent, text=came)
        return AgentReply(answer=found, prompt=sent, text=came)

    def close(self) -> None:
        """Release connections; harmless to repeat."""
        self._transport.close()

    def _ask(self, prompt: str) -> str | AgentFailure:
        """What the model wrote, or why there is nothing."""
        body = msgspec.json.encode(
            {
                "model": self._model,
                "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}],
                "temperature": 0,
                "max_tokens": TOKENS_MAX,
                "response_format": {"type": "json_object"},
            }
        )
        headers = [*self._headers, (b"Content-Length", str(len(body)).encode("ascii"))]
        if self._key is not None:
            headers.append(authorization(self._key))
        request = httpx2.Request(
            "POST",
            self._url,
            headers=headers,
            stream=httpx2.ByteStream(body),
            extensions={TIMEOUT_S: self._timeout_s},
        )
        try:
            response = self._transport.handle_request(request)
            stream = response.stream
            assert isinstance(stream, httpx2.SyncByteStream)
            try:
                # The body of anything but an answer is of no use, whatever its size.
                raw = read_body(response, BODY_BYTES_MAX) if response.status_code == 200 else b""
            finally:
                stream.close()
        except httpx2.TimeoutException:
            return AgentFailure(kind=FailureKind.LATE, detail=f"no whole answer within {self._timeout_s:g} s")
        except httpx2.HTTPError as error:
            return AgentFailure(kind=FailureKind.UNREACHABLE, detail=f"no answer: {type(error).__name__}")
        except (BodyUnreadable, zlib.error) as error:
            return AgentFailure(kind=FailureKind.TOO_LARGE, detail=str(error))
        if response.status_code != 200:
            why = "a redirect, which is not followed" if 300 <= response.status_code < 400 else "no answer"
            return AgentFailure(kind=FailureKind.REFUSED, detail=f"HTTP {response.status_code}: {why}")
        return self._content(raw)

    def _content(self, raw: bytes) -> str | AgentFailure:
        try:
            text = _decode(raw).choices[0].message.content
        except (msgspec.MsgspecError, IndexError, RecursionError):
            return AgentFailure(kind=FailureKind.NONSENSE, detail="the endpoint's answer is no chat completion")
        if len(text) > REPLY_CHARACTERS_MAX:
            detail = f"a reply of {len(text)} characters, at most {REPLY_CHARACTERS_MAX}"
            return AgentFailure(kind=FailureKind.TOO_LARGE, detail=detail)
        if holds_secret(text, self._key):
            return AgentFailure(kind=FailureKind.NONSENSE, detail="the reply repeats the key")
        return text


def _failed(kind: FailureKind, detail: str) -> AgentReply:
    return AgentReply(failure=AgentFailure(kind=kind, detail=detail))
