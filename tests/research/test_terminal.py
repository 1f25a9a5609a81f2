from rich.console import Console

from agents.research.run.messages import ResearchReport
from tests.research.samples import HOSTILE


def test_a_report_prints_its_figures_and_fits_a_terminal() -> None:
    report = ResearchReport(
        name="first",
        folder="runs/first",
        markdown_path="runs/first/report.md",
        html_path="runs/first/report.html",
        seconds=104.5,
        bits_per_byte=1.52,
        completion=f"def f(): {HOSTILE} [bold]",
        failures=("assemble digits_odd: [red]LayerError",),
    )
    console = Console(width=80, record=True, force_terminal=False)

    console.print(report)

    shown = console.export_text()
    assert "finished in 1 min 44 s" in shown
    assert "1.520 bits per byte" in shown
    assert "[bold]" in shown
    assert "[red]LayerError" in shown
    assert "runs/first/report.html" in shown
    assert max(map(len, shown.splitlines())) <= 80
