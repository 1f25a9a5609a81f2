"""What a run leaves behind to be looked at: report.md, report.html and their plots."""
