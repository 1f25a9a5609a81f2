from rich.console import Console

from agents.research.study import ResearchReport
from tests.research.samples import HOSTILE, full_content


def test_a_report_prints_as_a_leaderboard_that_fits_a_terminal() -> None:
    content = full_content()
    report = ResearchReport(
        name="first",
        folder="runs/first",
        markdown_path="runs/first/report.md",
        html_path="runs/first/report.html",
        seconds=104.5,
        leaderboard=tuple(content.leaderboard),
        test=content.test,
        bits_per_byte=1.52,
        completion=f"def f(): {HOSTILE} [bold]",
        failures=("assemble digits_odd: [red]LayerError",),
    )
    console = Console(width=80, record=True, force_terminal=False)

    console.print(report)

    shown = console.export_text()
    for text in ("digits_conv", "52,138", "97.22 %", "98.06 %", "1.520 bits per byte"):
        assert text in shown
    assert "[bold]" in shown
    assert "[red]LayerError" in shown
    assert "runs/first/report.html" in shown
    assert max(map(len, shown.splitlines())) <= 80
