"""BtcTurk, spot, over REST.

The pure parts can be read and tested without a socket: `signing` (the only place that sees the secret), `wire` (bytes
to values), `outcome` (what became of a write), `listing` (how a capped list is read whole). `nonce`, `clock_sync`,
`limits` and `breaker` keep count of what the venue demands. `transport` owns sockets and the one deadline of a request;
`rest` puts all of it together behind the port `Exchange`.
"""
