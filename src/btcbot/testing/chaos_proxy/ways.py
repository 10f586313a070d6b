"""The way on from one connection of the bot: to the venue and back, and the tunnel that a WebSocket is."""

from __future__ import annotations

import asyncio

from btcbot.testing.chaos_proxy.messages import HEAD_BYTES_MAX, PIECE_BYTES, Message, read_answer


class VenueConnection:
    """One connection to the venue for one connection of the bot, renewed when it has gone."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: Message) -> Message:
        """Send it and read the whole answer. The proxy itself sends nothing twice: what fails here has failed."""
        if self._streams is None or self._streams[0].at_eof() or self._streams[1].is_closing():
            self.close()
            self._streams = await asyncio.open_connection(*self._address, limit=HEAD_BYTES_MAX)
        reader, writer = self._streams
        writer.write(request.head + request.body)
        await writer.drain()
        return await read_answer(reader)

    def streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The connection itself, after its protocol was changed."""
        assert self._streams is not None, "something was asked on it"
        return self._streams

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Tunnel:
    """A WebSocket between the bot, at `writer`, and the venue. One that is silent swallows what either side says."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.is_silent = False

    async def run(
        self, reader: asyncio.StreamReader, venue_reader: asyncio.StreamReader, venue_writer: asyncio.StreamWriter
    ) -> None:
        """Until the bot goes, or until the venue goes while it can be heard."""
        up = asyncio.ensure_future(self._pump(reader, venue_writer))
        down = asyncio.ensure_future(self._pump(venue_reader, self.writer))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if self.is_silent:
                await up
        finally:
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(PIECE_BYTES):
            if not self.is_silent:
                sink.write(data)
                await sink.drain()
