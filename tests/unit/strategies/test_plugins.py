"""Strategies found by name, by entry point and by file; and each way in which that can fail, told in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from btcbot.adapters.strategy_plugins import Broken, find, listing, make, parse_parameters, specs
from btcbot.cli.strategy_skeleton import written
from btcbot.errors import ConfigurationError

SHIPPED = ["profit_v1", "mean_reversion", "ema_cross", "limit_band", "rebalance", "portfolio", "tilted_portfolio"]
GOOD = written("dip_buyer", ".")[0]
WINDOW = 'Annotated[int, Within(2, 1_000, "Bars of the average.", log=True)] = 20'
NO_STRATEGY = (
    "holds no strategy, which is a class with a method generate(self, context); «btcbot strategy new» writes one"
)
ARGUMENTS = "DipBuyer.generate has to take self and context, and nothing more"


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as refused:
        call()
    (line,) = refused.value.lines
    return line


def a_file(folder: Path, text: str, name: str = "mine.py") -> str:
    path = folder / name
    path.write_text(dedent(text), encoding="utf-8")
    return str(path)


class TestReachingBeyond:
    """A strategy is given the bars and signals of one moment; a file that reaches behind them is refused unrun."""

    @pytest.mark.parametrize(
        "reach",
        [
            "context.bars._lanes['BTCTRY'].bar(15)",
            "context.signals['BTCTRY']._columns",
            "context.bars.get.__self__",
            "getattr(context.bars, '_at')",
            "type(context.bars)._lanes",
            "hasattr(context, '__dict__')",
            "inspect.currentframe().f_back",
            "inspect.stack()[1].frame.f_locals['plan']",
            "getattr(frame, 'f_globals')",
            "msgspec.structs.force_setattr(context.quotes['BTCTRY'], 'ask', 0)",
            "force_setattr(context, 'now_ms', 0)",
        ],
    )
    def test_it_is_told_with_its_line(self, tmp_path: Path, reach: str) -> None:
        at = GOOD.index("    def generate")
        path = a_file(tmp_path, f"{GOOD[:at]}    def peek(self, context):\n        return {reach}\n\n{GOOD[at:]}")
        line = GOOD[:at].count("\n") + 2
        said = refusal(lambda: find(path))
        assert said.startswith(f"{path}, line {line}: ")
        assert said.endswith("reaches beyond what a strategy is given; use what its context shows by plain names")

    @pytest.mark.parametrize(
        "own", ["self._memo", "type(self)._kept", "super().__init__", "type(context).__name__", "context._replace"]
    )
    def test_what_is_its_own_or_common_it_may_use(self, tmp_path: Path, own: str) -> None:
        at = GOOD.index("    def generate")
        path = a_file(tmp_path, f"{GOOD[:at]}    def own(self, context):\n        return {own}\n\n{GOOD[at:]}")
        assert find(path).name == "dip_buyer"


class TestByName:
    def test_every_shipped_one_is_found_and_can_be_made_without_a_parameter(self) -> None:
        assert [spec.name for spec in specs()][: len(SHIPPED)] == SHIPPED
        for name in SHIPPED:
            assert make(name, {}).name == name

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("ema_corss", "there is no strategy ema_corss; did you mean ema_cross?"),
            (
                "zigzag",
                "there is no strategy zigzag; there are profit_v1, mean_reversion, ema_cross, limit_band, rebalance, "
                "portfolio, tilted_portfolio, or give the path of a file",
            ),
        ],
    )
    def test_another_name_is_answered_with_the_nearest(self, name: str, said: str) -> None:
        assert refusal(lambda: find(name)) == said


class TestByFile:
    def test_a_file_with_one_strategy(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, GOOD)

        assert repr(make(path, {"window": "50"})) == repr(make(f"{path}:DipBuyer", {"window": "50"}))
        assert (find(path).name, find(path).origin) == ("dip_buyer", path)

    def test_a_path_is_taken_from_the_working_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        a_file(tmp_path, GOOD)
        monkeypatch.chdir(tmp_path)

        assert find("mine.py").name == find("./mine.py").name == "dip_buyer"

    def test_an_edited_file_is_read_anew(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, GOOD)
        before = find(path)
        a_file(tmp_path, GOOD.replace("] = 20", "] = 30"))

        assert before.typed({})["window"] == 20
        assert find(path).typed({})["window"] == 30

    def test_two_files_of_one_name_are_two_strategies(self, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        first, second = a_file(tmp_path, GOOD), a_file(tmp_path / "other", GOOD.replace("] = 20", "] = 30"))
        found = find(first), find(second)

        assert [one.make({}) != two.make({}) for one, two in [found]] == [True]
        assert found[0].strategy_class.__module__ != found[1].strategy_class.__module__
        assert "mine" not in sys.modules

    def test_of_several_one_has_to_be_named(self, tmp_path: Path) -> None:
        second = GOOD[GOOD.index("class ") :].replace("DipBuyer", "Second").replace("dip_buyer", "second")
        path = a_file(tmp_path, GOOD + second)

        assert refusal(lambda: find(path)) == (
            f"{path}: holds 2 strategies (DipBuyer, Second); name one, such as {path}:DipBuyer"
        )
        assert find(f"{path}:Second").name == "second"

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, GOOD)

        assert refusal(lambda: find(f"{tmp_path}/mien.py")) == (
            f"strategy file {tmp_path}/mien.py: does not exist; did you mean {path}?"
        )
        assert refusal(lambda: find(f"{path}:DipBuyre")) == (
            f"{path}: there is no class DipBuyre in it; did you mean DipBuyer?"
        )
        assert refusal(lambda: find(f"{tmp_path}/nowhere/else.py")).endswith(
            "does not exist; give the path of a Python file"
        )
        (tmp_path / "folder.py").mkdir()
        assert refusal(lambda: find(f"{tmp_path}/folder.py")) == (
            f"strategy file {tmp_path}/folder.py: is a folder; give the path of a Python file"
        )
        assert refusal(lambda: find(f"{tmp_path}/mine.txt")).endswith(
            "is no Python file; give such as strategies/mine.py"
        )

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("x = 1\ny = x / 0\n", "cannot be loaded: line 2: ZeroDivisionError: division by zero"),
            ("x = 1\ndef f(:\n", "cannot be loaded: line 2: SyntaxError: invalid syntax"),
            (
                "import nothing_there\n",
                "cannot be loaded: line 1: ModuleNotFoundError: No module named 'nothing_there'",
            ),
            ("import sys\nsys.exit('bye')\n", "cannot be loaded: line 2: SystemExit: bye"),
            ("raise ValueError('two\\nlines \\x1b[31m')\n", "cannot be loaded: line 1: ValueError: two lines ?[31m"),
            ("x = 1\n", NO_STRATEGY),
            ("from btcbot.strategies.ema_cross import EmaCross\n", NO_STRATEGY),
        ],
        ids=["raises", "no Python", "lacks a module", "exits", "control characters", "empty", "only imports one"],
    )
    def test_a_file_that_cannot_be_used(self, tmp_path: Path, text: str, said: str) -> None:
        path = a_file(tmp_path, text)

        assert refusal(lambda: find(path)) == f"{path}: {said}"
        assert not [name for name in sys.modules if name.startswith("btcbot_strategy_file_mine") and "raise" in name]

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("frozen=True, kw_only=True", "kw_only=True", "DipBuyer can be changed after it was made"),
            ('    name: ClassVar[str] = "dip_buyer"\n', "", "DipBuyer has no usable name"),
            (WINDOW, "int = 20", "DipBuyer.window does not say what it is"),
            ("= 20", "= 1", "DipBuyer.window: its default 1 is outside its range; choose from 2 to 1000"),
            ("(self, context: StrategyContext)", "(self)", ARGUMENTS),
            ("(self, context: StrategyContext)", "(self, context: StrategyContext, more: int)", ARGUMENTS),
            (
                "Sma(self.window)",
                'Sma(self.window, "prise")',
                "DipBuyer cannot be made: the signal average takes prise, which is neither another signal nor one of "
                "open, high, low, close, volume",
            ),
            (
                "Sma(self.window)",
                "Sma(self.windwo)",
                "DipBuyer cannot be made: AttributeError: 'DipBuyer' object has no attribute 'windwo'",
            ),
            (
                "Annotated[Decimal",
                "Annotated[Decimel",
                "DipBuyer cannot be read: NameError: name 'Decimel' is not defined",
            ),
        ],
        ids=["mutable", "nameless", "unmarked", "default", "too few", "too many", "input", "typo", "annotation"],
    )
    def test_a_class_that_cannot_be_used(self, tmp_path: Path, old: str, new: str, said: str) -> None:
        assert old in GOOD
        path = a_file(tmp_path, GOOD.replace(old, new))

        assert refusal(lambda: find(path)).startswith(f"{path}: {said}")

    def test_parameters_of_a_file_are_checked_like_any_other(self, tmp_path: Path) -> None:
        path = a_file(tmp_path, GOOD)

        assert refusal(lambda: make(path, {"widnow": "3"})) == (
            "dip_buyer: has no parameter widnow; did you mean window?"
        )


class TestByEntryPoint:
    @staticmethod
    def install(folder: Path, monkeypatch: pytest.MonkeyPatch, distribution: str, points: str, **modules: str) -> None:
        """What an installer leaves behind: modules, and the metadata that names them."""
        info = folder / f"{distribution}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[btcbot.strategies]\n{points}\n")
        for name, text in modules.items():
            (folder / f"{name}.py").write_text(text, encoding="utf-8")
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.syspath_prepend(folder)

    def test_an_installed_one_is_found_by_its_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.install(tmp_path, monkeypatch, "dips", "dip_buyer = dips_module:DipBuyer", dips_module=GOOD)
        try:
            found = find("dip_buyer")

            assert (found.name, found.origin) == ("dip_buyer", "installed by dips")
            assert found in specs()
            assert refusal(lambda: find("dip_buyr")) == "there is no strategy dip_buyr; did you mean dip_buyer?"
        finally:
            sys.modules.pop("dips_module", None)

    def test_one_that_cannot_be_loaded_is_listed_with_its_reason(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.install(tmp_path, monkeypatch, "dips", "dip_buyer = dips_absent:DipBuyer\nother = json:dumps")

        broken = {one.name: one.problem for one in listing() if isinstance(one, Broken)}

        assert broken == {
            "dip_buyer": "strategy dip_buyer of dips: dips_absent:DipBuyer cannot be loaded: ModuleNotFoundError: "
            "No module named 'dips_absent'",
            "other": "strategy other of dips: json:dumps is no class; the entry point names the strategy's class",
        }
        assert refusal(lambda: find("dip_buyer")) == broken["dip_buyer"]
        assert [spec.name for spec in specs()] == SHIPPED

    def test_it_cannot_take_the_name_of_a_shipped_one_nor_of_another(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        impostor = GOOD.replace('"dip_buyer"', '"profit_v1"')
        self.install(tmp_path / "a", monkeypatch, "a", "profit_v1 = a_module:DipBuyer\nx = m:A", a_module=impostor)
        self.install(tmp_path / "b", monkeypatch, "b", "x = m:B")

        assert find("profit_v1").origin == "shipped"
        assert [one.name for one in listing()].count("profit_v1") == 1
        assert refusal(lambda: find("x")) in (
            "strategy x: a and b both bring one of this name; remove one",
            "strategy x: b and a both bring one of this name; remove one",
        )

    def test_its_class_calls_itself_as_the_entry_point_does(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.install(tmp_path, monkeypatch, "dips", "dips = dips_module:DipBuyer", dips_module=GOOD)
        try:
            assert refusal(lambda: find("dips")) == (
                "strategy dips of dips: its class calls itself dip_buyer; entry point and class need one name"
            )
        finally:
            sys.modules.pop("dips_module", None)


class TestParameterText:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("", {}),
            ("  ", {}),
            ("fast=20", {"fast": "20"}),
            ("fast=20, slow = 100", {"fast": "20", "slow": "100"}),
            ("weights=BTCTRY:0.5+ETHTRY:0.3,band=0.1", {"weights": "BTCTRY:0.5+ETHTRY:0.3", "band": "0.1"}),
            ("note=a=b", {"note": "a=b"}),
        ],
    )
    def test_names_and_texts(self, text: str, found: dict[str, str]) -> None:
        assert parse_parameters(text) == found

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("fast", "STRATEGY_PARAMS: «fast» is no parameter; write such as fast=20,slow=100"),
            ("fast=20,", "STRATEGY_PARAMS: «» is no parameter; write such as fast=20,slow=100"),
            ("fast=", "STRATEGY_PARAMS: «fast=» is no parameter; write such as fast=20,slow=100"),
            ("fast=1,fast=2", "STRATEGY_PARAMS: gives fast twice; remove one"),
        ],
    )
    def test_what_cannot_be_read(self, text: str, said: str) -> None:
        assert refusal(lambda: parse_parameters(text)) == said
