"""The command line: help, sentences instead of tracebacks, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

import watchglass
from support.databases import run
from watchglass.cli import main, observed
from watchglass.cli.grafana import write
from watchglass.errors import ApplicationNotFound
from watchglass.store.access import Access, Login

COMMANDS = ["demo", "run", "serve", "doctor", "migrate", "login", "grafana"]


def called(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "watchglass", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"watchglass {watchglass.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert capsys.readouterr().out.startswith(f"usage: watchglass {command}")


def test_help_names_every_command() -> None:
    done = called("--help")
    assert done.returncode == 0
    assert all(f"\n    {command} " in done.stdout for command in COMMANDS)


def test_without_a_command_it_says_how_it_is_used() -> None:
    done = called()
    assert done.returncode == 2
    assert "usage: watchglass" in done.stderr


def test_a_port_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["demo", "--port", "70000"])
    assert "70000 is not a port; ports are 0 to 65535" in capsys.readouterr().err


def test_a_setting_out_of_range_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WATCHGLASS_FLUSH_INTERVAL", "0")
    assert main(["doctor"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("watchglass: WATCHGLASS_FLUSH_INTERVAL is '0'")
    assert said.count("\n") == 1


def test_options_after_two_dashes_belong_to_run_only(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["doctor", "--", "--workers", "2"])
    assert "only `run` takes options after --" in capsys.readouterr().err


# demo


def test_the_demo_s_data_cannot_be_a_file_or_below_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.touch()
    for folder in (file, file / "below"):
        assert main(["demo", "--no-browser", "--data", str(folder)]) == 2
        said = capsys.readouterr().err
        assert f"The folder {folder} cannot be used: {file} is a file. Name another on the command line" in said
        assert said.count("\n") == 1


# migrate


@pytest.mark.parametrize("command", [["migrate"], ["login"], ["serve"]])
def test_without_a_database_it_says_which_setting_names_one(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    assert "DATABASE_URL" in capsys.readouterr().err


def test_migrate_makes_the_schema_and_then_finds_nothing_to_do(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert main(["migrate"]) == 0
    assert "is brought to version" in capsys.readouterr().out
    assert main(["migrate", "--role", "app"]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_migrate_for_a_role_that_does_not_exist(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert main(["migrate", "--role", "nobody_here"]) == 2
    assert "There is no role nobody_here" in capsys.readouterr().err


def test_a_wrong_password_is_a_sentence_that_does_not_repeat_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    user, rest = database_url.split("@")
    monkeypatch.setenv("DATABASE_URL", f"{user.rpartition(':')[0]}:not-the-password@{rest}")
    assert main(["migrate"]) == 2
    said = capsys.readouterr().err
    assert "the password of the role app is wrong" in said
    assert "not-the-password" not in said


async def test_the_printed_sql_makes_the_schema(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "--print", "--role", "app"]) == 0
    script = capsys.readouterr().out
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(script)
        assert await connection.fetchval("SELECT count(*) FROM watchglass.migrations") >= 1
    finally:
        await connection.close()


# login


@pytest.mark.parametrize(("option", "role"), [([], "admin"), (["--viewer"], "viewer")])
def test_login_prints_a_link_that_lets_in_once(
    store_url: str, option: list[str], role: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", store_url)
    monkeypatch.setenv("WATCHGLASS_PUBLIC_URL", "https://shop.example")
    monkeypatch.setenv("WATCHGLASS_PATH_PREFIX", "/ops")
    assert main(["login", *option]) == 0
    address, _, token = capsys.readouterr().out.strip().partition("?token=")
    assert address == "https://shop.example/ops/ui/monitoring/login"
    assert run(_redeemed(store_url, token)) == Login(role, role)
    assert run(_redeemed(store_url, token)) is None


async def _redeemed(dsn: str, token: str) -> Login | None:
    access = Access(dsn)
    try:
        return await access.use_login_token(token)
    finally:
        await access.close()


@pytest.mark.parametrize("where", ["option", "variable", "nowhere"])
def test_login_says_when_it_has_to_guess_the_address(
    store_url: str, where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", store_url)
    if where == "variable":
        monkeypatch.setenv("WATCHGLASS_PUBLIC_URL", "https://shop.example/")
    assert main(["login", *(["--url", "https://shop.example"] if where == "option" else [])]) == 0
    said = capsys.readouterr()
    guessed = where == "nowhere"
    assert said.out.startswith("http://127.0.0.1:8000/ui/" if guessed else "https://shop.example/ui/")
    assert ("--url or WATCHGLASS_PUBLIC_URL" in said.err) == guessed


def test_login_without_the_schema_says_what_makes_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert main(["login"]) == 2
    assert "Run `watchglass migrate`" in capsys.readouterr().err


# grafana


def test_grafana_writes_what_the_package_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grafana", str(tmp_path / "new")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert str(tmp_path / "new/dashboards/overview.json") in printed
    package = Path(watchglass.__file__).parent / "grafana"
    written = write(tmp_path / "again")
    assert {path.relative_to(tmp_path / "again") for path in written} == {
        path.relative_to(package) for path in package.rglob("*") if path.suffix in (".json", ".yml")
    }


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    assert main(["grafana", str(occupied)]) == 2
    assert "cannot be used: Not a directory" in capsys.readouterr().err


# run: finding the application

MODULE = """
from fastapi import FastAPI
app = FastAPI()
number = 7
class nested:
    app = app
def make():
    return app
def broken():
    raise KeyError("STRIPE_KEY")
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop_of_a_test.py").write_text(MODULE)
    (tmp_path / "failing_shop.py").write_text("import os\n\nos.environ['NOT_SET_ANYWHERE']\n")
    (tmp_path / "needy_shop.py").write_text("import a_package_that_is_missing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("shop_of_a_test", "no colon"),
        ("no_such_shop:app", "there is no module no_such_shop here"),
        ("shop_of_a_test:missing", "shop_of_a_test has no missing"),
        ("shop_of_a_test:number", "it is a int, which cannot be called"),
        ("failing_shop:app", "failing_shop.py:3 with KeyError: 'NOT_SET_ANYWHERE'"),
        ("needy_shop:app", "needy_shop.py:1 with ModuleNotFoundError: No module named 'a_package_that_is_missing'"),
    ],
)
def test_an_application_that_cannot_be_found_is_named_with_the_reason(shop: Path, target: str, reason: str) -> None:
    with pytest.raises(ApplicationNotFound) as raised:
        observed.find(target)
    assert reason in str(raised.value)
    assert str(raised.value).startswith(f"{target} is not an ASGI application: ")


def test_an_application_is_found_by_a_dotted_name(shop: Path) -> None:
    assert observed.find("shop_of_a_test:nested.app") is observed.find("shop_of_a_test:app")


def test_a_factory_that_fails_is_named_with_its_line(shop: Path) -> None:
    with pytest.raises(ApplicationNotFound, match=r"shop_of_a_test.py:10 with KeyError: 'STRIPE_KEY'"):
        observed.load("shop_of_a_test:broken", factory=True)


def test_run_says_why_there_is_nothing_to_serve(tmp_path: Path) -> None:
    done = called("run", "no_such_shop:app", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "there is no module no_such_shop here" in done.stderr


def test_an_option_that_uvicorn_does_not_know_is_a_sentence(shop: Path) -> None:
    done = called("run", "shop_of_a_test:app", "--", "--no-such-option", cwd=shop)
    assert done.returncode == 2
    assert "uvicorn does not take this: No such option" in done.stderr
