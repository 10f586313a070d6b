"""BtcTurk, spot, over REST.

The pure parts can be read and tested without a socket: `signing` (the only place that sees the secret), `wire` (bytes
to values), `outcome` (what became of a write), `listing` (how a capped list is read whole). `nonce`, `clock_sync`,
`limits` and `breaker` keep count of what the venue demands. `transport` owns sockets and the one deadline of a request,
`sender` sends one request, `requester` asks within all that is demanded: reads are repeated, writes sent once. `rest`
is the port `Exchange`: which address is asked for what.
"""
