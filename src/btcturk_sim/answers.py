"""How the exchange words its answers: the envelopes, the names and numbers of errors, and what of that has changed.

Between December 2022 and May 2024 all order errors had other numbers; the documents know some of them by other names;
the answer to an accepted order was different in 2020 and 2021. `options` says what holds, and may be replaced at any
time.
"""

from __future__ import annotations

from typing import Final

from btcturk_sim import codec
from btcturk_sim.limits import Exceeded
from btcturk_sim.options import ApiOptions
from btcturk_sim.orders import Order, Refusal
from btcturk_sim.wire import Response, json_response

_FIRST_SHIFTED: Final = 1118
#: 2020: the two answers to a cancel had the numbers before theirs.
_CANCEL_CODES_OF_2020: Final = {1052: 1051, 1051: 1050}
#: By the name in the list of May 2024: the name that the pages about orders use. Their numbers are not known.
_NAMES_IN_DOCUMENTS: Final = {
    "FAILED_STOP_PRICE_GREATER_THAN_BEST_ASK": "STOP_PRICE_GREATER_THAN_MARKET",
    "FAILED_STOP_PRICE_LESS_THAN_BEST_BID": "STOP_PRICE_LESS_THAN_MARKET",
    "PRICE_MUST_BE_LESS_THAN_MAXPRICE": "ORDER_MAX_PRICE_EXCEEDED",
    "PRICE_MUST_BE_LESS_THAN_MINPRICE": "ORDER_MIN_PRICE_EXCEEDED",
}


class Answers:
    def __init__(self, options: ApiOptions) -> None:
        self.options = options

    def refused(self, refusal: Refusal) -> Response:
        return json_response(400, codec.failed(*self._worded(refusal)))

    def order_refused(self, refusal: Refusal) -> Response:
        return json_response(400, codec.order_failed(*self._worded(refusal)))

    def _worded(self, refusal: Refusal) -> tuple[str, int]:
        message, code, options = refusal.message, refusal.code, self.options
        if options.error_codes == "2022" and code >= _FIRST_SHIFTED:
            code += 1
        elif options.error_codes == "2020":
            code = _CANCEL_CODES_OF_2020.get(code, code)
        if options.error_names == "documents":
            message = _NAMES_IN_DOCUMENTS.get(message, message)
        return message, code

    def accepted(self, order: Order, skew_ms: int) -> Response:
        """An order was taken."""
        data, year = codec.submitted(order, skew_ms), self.options.order_answer
        if year != "2024":
            data["stopPrice"] = data["stopPrice"] or "0"
        if year == "2020":
            return json_response(200, codec.ok(data, message="OK"))
        return json_response(200, {"httpStatusCode": 200, **codec.ok(data, message="SUCCESS")})

    def cancel_taken(self) -> Response:
        code = 0 if self.options.cancel_code == "zero" else ""
        return json_response(200, {"success": True, "message": "SUCCESS", "code": code})

    def unauthorized(self, text: str) -> Response:
        return json_response(401, {"success": self.options.error_401_of_2019, "message": text, "code": 1037})

    def too_many(self, exceeded: Exceeded) -> Response:
        payload = exceeded.payload()
        if self.options.error_429 == "short":
            payload = {"success": False, "message": "Too many requests", "code": 429}
        return json_response(429, payload, ("Retry-After", str(exceeded.retry_after_s)))
