"""What a run or a study leaves behind to be looked at: report.md, report.html and drawings."""
