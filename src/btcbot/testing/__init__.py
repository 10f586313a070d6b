"""The test kit, product-grade: what the demo and the tests drive a real bot and a real local BtcTurk with."""
