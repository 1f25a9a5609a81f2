"""Settings: command line over environment over file over default."""

import re
from pathlib import Path

import pytest

from guild.errors import SettingsError
from guild.settings import load_settings


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults_hold_where_nothing_is_said() -> None:
    settings = load_settings(environ={})

    assert (settings.bus, settings.allow, settings.log.level) == (None, (), "warning")


def test_the_nearer_one_wins() -> None:
    Path("guildbus.toml").write_text(
        'bus = "redis://file"\nallow = ["file"]\n[log]\nlevel = "debug"\n'
    )
    environ = {"GUILDBUS_BUS": "redis://env", "GUILDBUS_ALLOW": "env, more"}

    settings = load_settings(overrides={"bus": "redis://line", "allow": None}, environ=environ)

    assert settings.bus == "redis://line"
    assert settings.allow == ("env", "more")
    assert settings.log.level == "debug"


def test_two_underscores_go_one_level_down() -> None:
    assert load_settings(environ={"GUILDBUS_LOG__LEVEL": "info"}).log.level == "info"


def test_an_explicit_file_must_be_there_and_parents_are_not_searched(tmp_path: Path) -> None:
    (tmp_path / "guildbus.toml").write_text('bus = "redis://parent"\n')
    (tmp_path / "inner").mkdir()

    with pytest.raises(SettingsError, match=r"cannot read the settings in none\.toml"):
        load_settings(environ={}, file="none.toml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "inner")
        assert load_settings(environ={}).bus is None
        assert load_settings(environ={}, file="../guildbus.toml").bus == "redis://parent"


def test_a_slip_of_the_pen_is_told() -> None:
    with pytest.raises(SettingsError, match=r"GUILDBUS_ALOW; did you mean GUILDBUS_ALLOW\?"):
        load_settings(environ={"GUILDBUS_ALOW": "x"})
    with pytest.raises(SettingsError, match=r"unknown key 'lvl'"):
        load_settings(environ={"GUILDBUS_LOG__LVL": "x"})
    with pytest.raises(SettingsError, match="'level' should be 'debug'"):
        load_settings(environ={"GUILDBUS_LOG__LEVEL": "loud"})
    Path("guildbus.toml").write_text("buss = 1\n")
    with pytest.raises(SettingsError, match=r"unknown key 'buss'; did you mean 'bus'\?"):
        load_settings(environ={})
    Path("guildbus.toml").write_text("bus = \n")
    with pytest.raises(SettingsError, match="cannot read"):
        load_settings(environ={})


def test_variables_that_specs_refer_to_are_left_alone() -> None:
    environ = {"GUILDBUS_URL": "redis://x", "GUILDBUS_PHI_MODEL": "phi"}

    assert load_settings(environ=environ).bus is None


@pytest.mark.parametrize("said", ["shop, town", ["shop", "town"], ["shop,town"], ("shop", "town,")])
def test_packages_come_one_by_one_or_with_commas(said: object) -> None:
    assert load_settings(overrides={"allow": said}, environ={}).allow == ("shop", "town")


def test_a_folder_with_a_hyphen_is_a_package_too() -> None:
    """A class below it can be loaded, though no import statement can name it."""
    assert load_settings(environ={"GUILDBUS_ALLOW": "my-shop.desks"}).allow == ("my-shop.desks",)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("shop:Desk", "'shop:Desk' is no package: write its name, as in shop or shop.agents"),
        ("./shop", "'./shop' is no package"),
        ("shop.", "'shop.' is no package"),
        ("shop.py", "'shop.py' is a file: write shop"),
    ],
)
def test_what_cannot_be_a_package_is_refused(said: str, told: str) -> None:
    Path("shop.py").touch()

    with pytest.raises(SettingsError, match=re.escape(told)):
        load_settings(overrides={"allow": [said]}, environ={})


def test_a_variable_that_a_spec_may_refer_to_is_no_slip() -> None:
    """A name with `_LEVEL` at its end was one."""
    load_settings(
        environ={"GUILDBUS_RISK_LEVEL": "3", "GUILDBUS_TOP_LEVEL": "a", "GUILDBUS_DB": "x"}
    )


def test_all_slips_are_told_at_once_with_where_they_stand() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={"GUILDBUS_LOG_LEVEL": "info", "GUILDBUS_BUSS": "memory://"})
    assert str(caught.value).splitlines() == [
        "unknown setting GUILDBUS_LOG_LEVEL; did you mean GUILDBUS_LOG__LEVEL?",
        "unknown setting GUILDBUS_BUSS; did you mean GUILDBUS_BUS?",
    ]

    Path("guildbus.toml").write_text("allow = 5\nbuss = 'x'\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={"GUILDBUS_LOG__LEVEL": "loud"})
    assert sorted(str(caught.value).splitlines()) == [
        "settings, environment: 'level' should be 'debug', 'info', 'warning' or 'error'",
        "settings, guildbus.toml: 'allow' should be a list",
        "settings, guildbus.toml: unknown key 'buss'; did you mean 'bus'?",
    ]
