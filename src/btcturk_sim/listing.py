"""A whole exchange's worth of pairs: 190 against TRY, 189 against USDT, with rules like the real ones.

What was recorded of four pairs is exact. All other rules follow from a currency's worth as theirs do: five significant
digits of price, decimals of quantity by what one is worth. Names and worths are plausible, not recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from btcturk_sim.errors import ConfigurationError
from btcturk_sim.instruments import BUILT_IN, SCALE_MAX, Instrument, without_market_orders
from btcturk_sim.money import exact, round_half_up, step_of

#: One USDT in TRY.
_USDT_TRY: Final = Decimal("47.832")
_SIGNIFICANT_DIGITS: Final = 5
#: Decimals of quantity of a currency that is worth at least so many dollars.
_QUANTITY_SCALES: Final = ((Decimal(1000), 8), (Decimal(3), 4), (Decimal("0.01"), 2))
#: Prices in whole numbers only, on four pairs in all.
_WHOLE_PRICES: Final = frozenset({"BTCTRY", "BTCUSDT", "ETHTRY", "PAXGTRY"})
#: Known although nothing else of the pair is.
_RECORDED_IDS: Final = {"XRPUSDT": 21}
#: Of the pairs in order of listing, these last ones take no market orders.
_LIMIT_ONLY: Final = 25

#: Worth of each currency in dollars.
_WORTH: Final = """
BTC 79152 ETH 2460.7 XRP 2.1450 SOL 148.55 BNB 862.4 ADA 0.7256 DOGE 0.1907 AVAX 23.11 TRX 0.2953 LINK 16.02
DOT 4.115 LTC 96.3 XLM 0.2875 SHIB 0.0000111 UNI 7.31 ATOM 4.02 NEAR 2.61 ETC 18.9 FIL 2.27 APT 4.55 ARB 0.388
OP 0.701 SUI 3.02 INJ 11.72 HBAR 0.1893 ALGO 0.1987 VET 0.0231 ICP 4.91 AAVE 241.5 MKR 1571 GRT 0.0871
SAND 0.2674 MANA 0.2871 AXS 2.23 CHZ 0.03789 ENJ 0.0641 GALA 0.01512 FLOW 0.372 EOS 0.4803 XTZ 0.7132
THETA 0.7211 NEO 6.43 QTUM 2.04 ZRX 0.2401 BAT 0.1523 COMP 43.1 SNX 0.6342 CRV 0.7624 SUSHI 0.6721 YFI 5273
UMA 1.184 BAL 1.012 LRC 0.0861 KNC 0.3312 STORJ 0.2411 ANKR 0.01489 OGN 0.0571 SKL 0.02387 BAND 0.6123 NMR 14.81
RLC 0.9624 CELR 0.00713 COTI 0.05124 ONT 0.1309 ZIL 0.01112 IOTA 0.1862 DASH 22.87 ZEC 48.31 XMR 311.2 KSM 14.76
MINA 0.1773 ROSE 0.02631 CELO 0.3075 ONE 0.01031 EGLD 14.91 RUNE 1.271 KAVA 0.3794 FTM 0.6913 LDO 1.172 RPL 6.33
SSV 9.14 ENS 23.71 IMX 0.5328 DYDX 0.5872 GMX 14.62 PENDLE 4.812 STRK 0.1273 ZK 0.0571 MANTA 0.2231 TIA 1.643
SEI 0.2983 PYTH 0.1163 JTO 1.822 JUP 0.4761 WIF 0.8231 BONK 0.0000218 PEPE 0.0000101 FLOKI 0.0000931
MEME 0.00192 BOME 0.00181 WLD 0.9412 ARKM 0.5121 FET 0.6431 AGIX 0.2551 OCEAN 0.2721 RENDER 3.587 AKT 1.071
TAO 352.7 PHB 0.4711 IQ 0.00337 GLM 0.2341 POL 0.2213 STX 0.7021 ORDI 8.421 SATS 0.0000000391 PAXG 3352
XAUT 3361 EURI 1.168 USDC 0.9999 FDUSD 0.9981 ETHFI 1.062 REZ 0.01231 ENA 0.5982 ALT 0.03287 PIXEL 0.03312
PORTAL 0.04321 ACE 0.5231 XAI 0.05871 AEVO 0.0961 OMNI 2.871 NOT 0.00192 IO 0.6821 LISTA 0.2231 BANANA 21.07
TON 3.312 DOGS 0.0001321 CATI 0.0872 HMSTR 0.000712 EIGEN 1.263 SCR 0.3211 MOVE 0.1311 USUAL 0.0731
PENGU 0.03127 ME 0.7231 VANA 4.721 KAITO 1.121 LAYER 0.5511 TRUMP 9.312 MELANIA 0.2011 BERA 1.931 FORM 3.501
INIT 0.4021 HYPER 0.2871 SYRUP 0.4871 SPK 0.1023 PROVE 1.112 WCT 0.3211 SIGN 0.07121 HUMA 0.03912 RESOLV 0.1823
HOME 0.03127 SAHARA 0.08431 NEWT 0.3012 ERA 1.023 TREE 0.3911 LINEA 0.02311 OPEN 0.7122 HEMI 0.1523 AVNT 1.021
BARB 0.0871 RAY 2.871 W 0.0881 ZRO 2.112 TNSR 0.1321 ORCA 2.311 COW 0.3211 PEOPLE 0.02012 MASK 1.231 API3 0.7421
JASMY 0.01481 SPEC 0.9312 TRAC 0.4412 BLUR 0.0812 MAGIC 0.2301 HFT 0.0781 ID 0.1621 EDU 0.1391 CYBER 1.901
MAV 0.0612
"""


@dataclass(frozen=True, slots=True)
class Listing:
    """One pair and the price it begins with."""

    instrument: Instrument
    price: Decimal


@exact
def listings(count: int) -> tuple[Listing, ...]:
    """The first `count` pairs, the best known first; ConfigurationError if there are not so many."""
    every = tuple(_every())
    if not 1 <= count <= len(every):
        raise ConfigurationError(f"--pairs {count}: give a number from 1 to {len(every)}")
    return every[:count]


def pairs_max() -> int:
    return 2 * len(_worths()) + 1


def _worths() -> list[tuple[str, Decimal]]:
    words = _WORTH.split()
    return [(asset, Decimal(worth)) for asset, worth in zip(words[::2], words[1::2], strict=True)]


def _every() -> Iterator[Listing]:
    worths = _worths()
    taken = {one.id for one in BUILT_IN.values()} | set(_RECORDED_IDS.values())
    ids = (number for number in range(1, 10_000) if number not in taken)
    made: list[Listing] = []
    for ordinal, (asset, worth) in enumerate(worths):
        made.append(_listing(asset, "TRY", worth, worth * _USDT_TRY, ordinal))
        made.append(_listing(asset, "USDT", worth, worth, ordinal))
    made.insert(2, _listing("USDT", "TRY", Decimal(1), _USDT_TRY, 0))
    for ordinal, one in enumerate(made):
        rules = one.instrument
        if rules.symbol not in BUILT_IN:
            rules = replace(rules, id=_RECORDED_IDS.get(rules.symbol) or next(ids))
            if ordinal >= len(made) - _LIMIT_ONLY:
                rules = without_market_orders(rules)
        yield Listing(rules, one.price)


def _listing(base: str, quote: str, worth: Decimal, price: Decimal, ordinal: int) -> Listing:
    symbol = base + quote
    price_scale = min(SCALE_MAX, max(0, _SIGNIFICANT_DIGITS - 1 - price.adjusted()))
    rules = BUILT_IN.get(symbol) or Instrument(
        id=0,
        symbol=symbol,
        base=base,
        quote=quote,
        quantity_scale=next((scale for least, scale in _QUANTITY_SCALES if worth >= least), 0),
        price_scale=price_scale,
        has_fraction=symbol not in _WHOLE_PRICES,
        tick_size=format(step_of(price_scale), "f"),
        min_exchange_value=Decimal("9.91") if quote == "USDT" else Decimal("99.91"),
        display_order=(2000 if quote == "USDT" else 1000) + 2 * ordinal,
    )
    return Listing(rules, max(rules.price_step, round_half_up(price, rules.price_scale)))
