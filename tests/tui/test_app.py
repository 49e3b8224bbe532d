"""The app itself, driven by keys, on a session that has told its events and waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Checkbox, Input, Static

from brokertuner_tui import paths
from brokertuner_tui.errors import ConnectionFailed
from brokertuner_tui.knobs.catalogue import NAMES
from brokertuner_tui.tui.app import TunerApp
from brokertuner_tui.tui.keys import COMMANDS, keymap_problems
from brokertuner_tui.tui.options import Options
from brokertuner_tui.tui.screens.confirm import Confirm
from brokertuner_tui.tui.screens.details import Details, TrialDetails
from brokertuner_tui.tui.screens.edit import EditKnob
from brokertuner_tui.tui.screens.help import Help
from brokertuner_tui.tui.widgets.goodput import GoodputPane
from brokertuner_tui.tui.widgets.knobs import KnobTable
from brokertuner_tui.tui.widgets.log import EventLog
from brokertuner_tui.tui.widgets.pane import Pane
from brokertuner_tui.tuning import commands, events
from brokertuner_tui.tuning.events import Event, State
from tests.tui.fake_session import START, FakeSession, Simulation, StillSession, history

SIZES = [(80, 24), (150, 40), (200, 60)]


def make_app(session: StillSession | FakeSession, **options: object) -> TunerApp:
    given: dict[str, object] = {"theme_folders": (paths.themes_dir(),), **options}
    return TunerApp(lambda: session, Options(**given))  # type: ignore[arg-type]


def screen_text(app: TunerApp) -> list[str]:
    """What is on the screen, line by line, after all filters."""
    return ["".join(text for text, *_ in strip) for strip in app.screen._compositor.render_strips()]


async def until(pilot: Pilot[int], condition: Callable[[], object]) -> None:
    """Lets the app run until `condition` holds."""
    for _ in range(400):
        await pilot.pause()
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("did not come to be; the screen shows:\n" + "\n".join(screen_text(pilot.app)))  # type: ignore[arg-type]


@asynccontextmanager
async def running(
    session: StillSession | None = None, size: tuple[int, int] = (150, 40), trials: int = 20, **options: object
) -> AsyncIterator[tuple[TunerApp, Pilot[int], StillSession]]:
    """The app after `trials` trials."""
    told: list[Event] = []
    if session is None:
        simulation, told = history(trials)
        session = StillSession([*told, simulation.sample()])
    app = make_app(session, **options)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: app.model.run is not None and len(app.model.points) == (trials if told else 0))
        await pilot.pause(0.2)
        yield app, pilot, session
        session.end()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_everything_is_there_at_every_size(size: tuple[int, int]) -> None:
    async with running(size=size) as (app, pilot, _):
        if size[0] > 80:
            await until(pilot, lambda: app.query("#chart"))
        text = "\n".join(screen_text(app))
        for name in NAMES:
            assert name in text
        for part in ("TUNING", "trial 20", "fanout", "10 ms", "on time", "best", "clients", "why: ", "noise", "pid", "41883"):
            assert part in text, part
        for command in COMMANDS:
            if command.footer == "always":
                assert (command.short if size[0] == 80 else command.label) in screen_text(app)[-1]
        assert all(len(line) == size[0] for line in screen_text(app))
        if size[0] > 80:
            for pane in app.query(Pane):
                assert f" {pane.NAME} " in text


@pytest.mark.parametrize("size", [(20, 5), (40, 10), (60, 15), (116, 24), (79, 60), (300, 100)])
async def test_any_size_is_drawn(size: tuple[int, int]) -> None:
    async with running(size=size, trials=3) as (app, pilot, _):
        assert len(screen_text(app)) == size[1]
        await pilot.resize_terminal(150, 40)
        await until(pilot, lambda: "latency" in "\n".join(screen_text(app)))


@pytest.mark.parametrize(
    ("key", "command"),
    [
        ("space", commands.Pause()),
        ("s", commands.Step()),
        ("p", commands.Pin("max_inflight_messages")),
        ("w", commands.RestartLoad()),
        ("b", commands.ApplyBest()),
        ("d", commands.ApplyDefaults()),
    ],
)
async def test_keys_send_commands(key: str, command: commands.Command) -> None:
    async with running(trials=3) as (_, pilot, session):
        await pilot.press(key)
        assert session.sent == [command]


async def test_space_and_p_do_the_opposite_the_second_time() -> None:
    async with running(trials=3) as (app, pilot, session):
        session.tell(events.StateChanged(START, State.PAUSED), events.PinsChanged(START, {"max_inflight_bytes": 0}))
        await until(pilot, lambda: app.model.state == "paused")
        await pilot.press("down", "p", "space")
        assert session.sent == [commands.Unpin("max_inflight_bytes"), commands.Resume()]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_paused_cannot_be_missed(size: tuple[int, int]) -> None:
    async with running(size=size, trials=3) as (app, pilot, session):
        before = app.query_one("#status").styles.background
        session.tell(events.StateChanged(START, State.PAUSED, "by the operator"))
        await until(pilot, lambda: "‖ PAUSED" in screen_text(app)[0])
        assert "nothing changes" in screen_text(app)[0]
        assert app.query_one("#status").styles.background != before, "the whole line has another ground"
        assert "Resume" in screen_text(app)[-1]
        session.tell(events.StateChanged(START, State.TUNING))
        await until(pilot, lambda: "▶ TUNING" in screen_text(app)[0])
        assert app.query_one("#status").styles.background == before


async def test_a_broker_that_is_down_takes_the_whole_line() -> None:
    async with running(trials=3) as (app, pilot, session):
        session.tell(events.BrokerTrouble(START, "the broker was killed", "Killed", False))
        await until(pilot, lambda: "○ BROKER DOWN   the broker was killed" in screen_text(app)[0])
        assert app.query_one("#status").has_class("-failed")
        assert "the broker was killed (it is down)" in "\n".join(screen_text(app))


async def test_editing_a_knob() -> None:
    async with running(size=(80, 24), trials=3) as (app, pilot, session):
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, EditKnob))
        text = "\n".join(screen_text(app))
        for part in (
            "max_inflight_messages",
            "1 to 65535 messages per client; 0 = no limit",
            "restarts the broker; 101 clients",
        ):
            assert part in text
        await pilot.press(*"70000")
        assert "must be a whole number from 1 to 65535" in str(app.screen.query_one("#problem", Static).content)
        await pilot.press("enter")
        assert isinstance(app.screen, EditKnob), "an illegal value does not close it"
        assert session.sent == []
        app.screen.query_one(Input).value = ""
        await pilot.press(*"480", "enter")
        await until(pilot, lambda: not isinstance(app.screen, EditKnob))
        assert session.sent == [commands.SetKnob("max_inflight_messages", 480)]
        await until(pilot, lambda: "→ 480 asked for" in "\n".join(screen_text(app)))


async def test_editing_with_a_pin_and_words() -> None:
    async with running(trials=3) as (app, pilot, session):
        await pilot.press(*["down"] * NAMES.index("persistence"), "e")
        await until(pilot, lambda: isinstance(app.screen, EditKnob))
        assert app.screen.query_one(Input).value == "off"
        app.screen.query_one(Input).value = "maybe"
        await pilot.pause()
        assert "must be true or false" in str(app.screen.query_one("#problem", Static).content)
        app.screen.query_one(Input).value = "on"
        app.screen.query_one(Checkbox).value = True
        app.screen.query_one("#yes", Button).press()
        await until(pilot, lambda: not isinstance(app.screen, EditKnob))
        assert session.sent == [commands.Pin("persistence", True), commands.SetKnob("persistence", True)]


async def test_a_value_set_by_hand_is_yellow_until_the_agent_moves_it() -> None:
    session = StillSession([])
    simulation = Simulation()
    session._told = [*simulation.start(), simulation.sample()]
    async with running(session) as (app, pilot, _):
        app.main._asked("max_inflight_messages", 480)
        simulation.knobs = {**simulation.knobs, "max_inflight_messages": 480}
        session.tell(simulation.sample())
        await until(pilot, lambda: app.model.by_hand)
        row = app.query_one(KnobTable).row(app.model, 0, 100)
        styles = {row.plain[span.start : span.end].strip(): span.style for span in row.spans}
        assert "$hand" in str(styles["480"])


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        (["enter"], []),
        (["escape"], []),
        (["n"], []),
        (["y"], [commands.RestartBroker()]),
        (["right", "enter"], [commands.RestartBroker()]),
    ],
)
async def test_restarting_the_broker_asks_and_cancel_has_the_focus(keys: list[str], sent: list[commands.Command]) -> None:
    async with running(trials=3) as (app, pilot, session):
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        assert app.focused is not None
        assert app.focused.id == "no"
        assert "101 clients lose their connection" in "\n".join(screen_text(app))
        await pilot.press(*keys)
        await until(pilot, lambda: not isinstance(app.screen, Confirm))
        assert session.sent == sent


async def test_quitting_asks_when_a_run_would_be_cut_short() -> None:
    async with running(trials=3) as (app, pilot, session):
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        assert "3 of 60 trials are done and kept" in "\n".join(screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Confirm))
        assert session.sent == []
        assert not app.model.leaving
        await pilot.press("q", "y")
        await until(pilot, lambda: app.return_code is not None)
        assert session.sent == [commands.Stop()]
        assert app.return_code == 0


async def test_quitting_does_not_ask_when_the_best_is_confirmed_and_nothing_came_after() -> None:
    simulation, told = history(60)
    done = events.StateChanged(simulation.at, State.PAUSED, "60 trials done; resume for 60 more")
    session = StillSession([*told, simulation.confirmed(), done, simulation.sample()])
    app = make_app(session)
    async with app.run_test(size=(150, 40)) as pilot:
        await until(pilot, lambda: "60 trials done" in screen_text(app)[0])
        await pilot.press("q")
        await until(pilot, lambda: app.return_code is not None)
    assert session.sent == [commands.Stop()]


async def test_quitting_does_not_ask_when_nothing_is_lost() -> None:
    async with running(trials=0) as (app, pilot, session):
        await pilot.press("q")
        await until(pilot, lambda: app.return_code is not None)
        assert session.sent == [commands.Stop()]


async def test_ctrl_c_never_asks_and_ends_even_from_a_dialogue() -> None:
    async with running(trials=3) as (app, pilot, session):
        await pilot.press("e", "ctrl+c")
        await until(pilot, lambda: app.return_code is not None)
        assert session.sent == [commands.Stop()]
        assert app.return_code == 130


async def test_the_screen_stays_until_the_session_has_stopped_and_a_second_q_forces() -> None:
    simulation, told = history(3)
    session = StillSession([*told, simulation.sample()], ends=False)
    app = make_app(session)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: len(app.model.points) == 3)
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "LEAVING" in screen_text(app)[0])
        assert app.return_code is None
        await pilot.press("q")
        await until(pilot, lambda: app.return_code is not None)
    session.end()


async def test_a_session_that_never_began_closes_the_screen() -> None:
    app = TunerApp(lambda: FakeSession(error=ConnectionFailed("no broker there")), Options(theme_folders=(paths.themes_dir(),)))
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.return_code is not None)
    assert isinstance(app.link.error, ConnectionFailed)


async def test_a_run_that_fails_later_stays_on_the_screen() -> None:
    async with running(trials=3) as (app, pilot, session):
        finished = events.RunFinished(
            START, "r", State.FAILED, "the disk is full", 3, 1.0, None, None, None, "nothing", 0, 0, None
        )
        session.tell(finished)
        await until(pilot, lambda: "✗ FAILED   the disk is full" in screen_text(app)[0])
        await pilot.press("space")
        assert session.sent == [], "there is nothing left to pause"
        await until(pilot, lambda: "The run is over" in "\n".join(screen_text(app)))


async def test_focus_moves_and_zoom_gives_a_pane_everything() -> None:
    async with running(size=(80, 24), trials=20) as (app, pilot, _):
        assert isinstance(app.focused, KnobTable)
        await pilot.press("up")
        assert isinstance(app.focused, GoodputPane)
        await pilot.press("z")
        await until(pilot, lambda: app.query("#chart") and "┤" in "\n".join(screen_text(app)))
        assert "max_queued_bytes" not in "\n".join(screen_text(app))
        assert "TUNING" in screen_text(app)[0], "the status stays"
        assert "Quit" in screen_text(app)[-1]
        await pilot.press("escape")
        await until(pilot, lambda: "max_queued_bytes" in "\n".join(screen_text(app)))
        seen = set()
        for _ in range(7):
            await pilot.press("tab")
            seen.add(app.focused.id if app.focused else None)
        assert seen == {"goodput", "knobs", "broker", "load", "agent", "events"}, "no room for the latency pane"


async def test_arrows_go_to_the_neighbour() -> None:
    async with running(trials=20) as (app, pilot, _):
        seen = []
        for key in ("right", "down", "down", "down", "up", "left", "up", "right"):
            await pilot.press(key)
            assert app.focused is not None
            seen.append(app.focused.id)
        assert seen[:4] == ["load", "agent", "events", "events"]


async def test_enter_opens_what_has_the_focus_and_escape_goes_back() -> None:
    async with running(trials=20) as (app, pilot, _):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Details))
        assert "what its values brought" in "\n".join(screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Details))
        app.query_one(EventLog).focus()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, TrialDetails))
        assert "trial 20 of 60" in "\n".join(screen_text(app))
        await pilot.press("left", "left")
        await until(pilot, lambda: "trial 18 of 60" in "\n".join(screen_text(app)))
        await pilot.press("escape")
        for pane in app.query(Pane):
            pane.focus()
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, Details))
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, Details))


async def test_the_log_keeps_its_line_while_new_ones_come() -> None:
    async with running(trials=20) as (app, pilot, session):
        log = app.query_one(EventLog)
        log.focus()
        await pilot.press("down", "down", "down")
        line = app.model.log[log.cursor]
        session.tell(*(events.Notice(START, f"news {number}") for number in range(5)))
        await until(pilot, lambda: app.model.log[0].text == "news 4")
        await until(pilot, lambda: app.model.log[log.cursor] is line)
        await pilot.press("home")
        session.tell(events.Notice(START, "more"))
        await until(pilot, lambda: app.model.log[0].text == "more")
        assert log.cursor == 0, "on the newest line it stays on the newest"


async def test_help_is_about_what_has_the_focus() -> None:
    async with running(size=(80, 24), trials=3) as (app, pilot, _):
        await pilot.press("tab", "question_mark")
        await until(pilot, lambda: isinstance(app.screen, Help))
        text = "\n".join(screen_text(app))
        assert "The Mosquitto that is tuned" in text
        assert "Pause tuning, or go on." in text
        await pilot.press("q")
        await until(pilot, lambda: not isinstance(app.screen, Help))


async def test_keys_can_be_mapped_anew_and_mistakes_are_told() -> None:
    keymap = {"pause": "f5,space", "leave": "x", "nonsense": "y"}
    async with running(trials=3, keymap=keymap) as (app, pilot, session):
        assert "x Quit" in screen_text(app)[-1]
        assert "f5 Pause" in screen_text(app)[-1]
        await until(pilot, lambda: "tui.keymap.nonsense" in "\n".join(screen_text(app)))
        await pilot.press("f5", "space", "q")
        assert session.sent == [commands.Pause(), commands.Pause()]
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Confirm))


async def test_one_key_for_two_commands_is_told() -> None:
    async with running(trials=3, keymap={"pause": "s"}) as (app, pilot, _):
        await until(pilot, lambda: "s is the key of pause and of step" in " ".join("\n".join(screen_text(app)).split()))


def test_keymaps_without_a_fault() -> None:
    assert keymap_problems({}) == []
    assert keymap_problems({"pause": "s", "step": "space"}) == []
    assert keymap_problems({"help": "f1,?"}) == []
    assert len(keymap_problems({"palette": "f2", "zoom": "?"})) == 2


async def test_every_command_is_in_the_palette() -> None:
    async with running(trials=3) as (app, pilot, session):
        titles = {command.title: command for command in app.get_system_commands(app.screen)}
        for command in COMMANDS:
            if command.id not in ("palette", "details"):
                assert command.label in titles
        assert "Theme" in titles
        await pilot.press("ctrl+p")
        await pilot.press(*"apply best")
        await until(pilot, lambda: "Bring the best setting so far" in "\n".join(screen_text(app)))
        await pilot.press("enter")
        await until(pilot, lambda: commands.ApplyBest() in session.sent)


async def test_footer_keys_can_be_clicked() -> None:
    async with running(trials=3) as (app, pilot, session):
        at = screen_text(app)[-1].index("Step")
        await pilot.click("#keys", offset=(at, 0))
        assert session.sent == [commands.Step()]


@pytest.mark.parametrize("theme", ["light", "colour-blind", "mono", "contrast", "gruvbox"])
async def test_themes_switch_while_it_runs(theme: str) -> None:
    async with running(trials=20) as (app, pilot, _):
        await until(pilot, lambda: app.query("#chart"))
        app.theme = theme
        await pilot.pause(0.2)
        assert app.query_one(KnobTable).styles.background.hex.lower() == app.get_css_variables()["background"].lower()
        assert "max_inflight_messages" in "\n".join(screen_text(app))


async def test_a_broken_theme_is_told_and_passed_over(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[colors]\nprimary = 'no colour'\n")
    folders = (paths.themes_dir(), tmp_path)
    async with running(trials=3, theme="mine", theme_folders=folders) as (app, pilot, _):
        assert app.theme == "dark"
        await until(pilot, lambda: "mine.toml" in "\n".join(screen_text(app)))
        text = " ".join("\n".join(screen_text(app)).split())
        assert "colors.primary" in text


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_ascii_is_ascii(size: tuple[int, int]) -> None:
    async with running(size=size, ascii=True) as (app, pilot, _):
        if size[0] > 80:
            await until(pilot, lambda: app.query("#chart"))
        for keys in ([], ["enter"], ["escape", "e"], ["escape", "question_mark"], ["escape", "ctrl+p"]):
            await pilot.press(*keys)
            await pilot.pause(0.1)
            text = "\n".join(screen_text(app))
            assert text.isascii(), {char for char in text if not char.isascii()}


@pytest.mark.parametrize(
    "keys", [[], ["space"], ["e"], ["R"], ["question_mark"], ["ctrl+p"]], ids=lambda keys: "".join(keys) or "main"
)
async def test_no_color_means_none(keys: list[str]) -> None:
    async with running(no_colour=True) as (app, pilot, session):
        if keys == ["space"]:
            session.tell(events.StateChanged(START, State.PAUSED))
            await until(pilot, lambda: "PAUSED" in screen_text(app)[0])
        await pilot.press(*keys)
        await pilot.pause(0.1)
        strips = app.screen._compositor.render_strips()
        styles = [style for strip in strips for _, style, _ in strip if style is not None]
        assert all(style.color is None or style.color.is_default for style in styles)
        assert all(style.bgcolor is None or style.bgcolor.is_default for style in styles)
        if keys == ["space"]:
            assert all(style is None or style.reverse for text, style, _ in strips[0] if text.strip()), "PAUSED is reversed"


async def test_a_live_session_from_start_to_end() -> None:
    """On the session with a thread of its own: trials come in, a step runs one, and it ends when asked."""
    session = FakeSession(speed=20.0, total=60)
    app = make_app(session)
    async with app.run_test(size=(150, 40)) as pilot:
        await until(pilot, lambda: len(app.model.points) >= 3)
        await pilot.press("space")
        await until(pilot, lambda: app.model.state == "paused")
        await pilot.pause(0.5)  # the trial that was under way ends
        done = len(app.model.points)
        await pilot.press("s")
        await until(pilot, lambda: len(app.model.points) > done and app.model.state == "paused")
        assert len(app.model.points) == done + 1
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app.return_code is not None)
    assert session.join(10)
