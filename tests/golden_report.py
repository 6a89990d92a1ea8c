"""The account of the golden numbers, printed after the session; see parity/goldens.py."""


def pytest_terminal_summary(terminalreporter) -> None:
    """One line for each file and precision: cases, arrays compared, the error that comes nearest to its tolerance."""
    import goldens  # Not sooner: it imports jax, which reads settings that conftest.py makes.

    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    accounts: dict[tuple[str, str], list] = {}
    for report in reports:
        for name, account in getattr(report, "user_properties", ()):
            if name == goldens.PROPERTY and report.when == "call":
                accounts.setdefault(tuple(account[:2]), []).append((report.outcome, *account[2:]))
    if accounts:
        terminalreporter.section(f"golden numbers in {goldens.FOLDER}")
    for (file, precision), cases in sorted(accounts.items()):
        terminalreporter.write_line(f"{file} {precision}: {_line(cases)}")


def _line(cases: list[tuple]) -> str:
    """The account of one file at one precision."""
    failed = sum(outcome == "failed" for outcome, *_ in cases)
    arrays = sum(read for _, _, read, _ in cases)
    errors = [(share, error, f"{case}/{key}") for _, case, _, errors in cases for key, error, share in errors]
    line = f"{len(cases)} cases ({failed} failed), {arrays} arrays used, {len(errors)} comparisons"
    if not errors:
        return line
    share, error, key = max(errors, key=lambda item: float("inf") if item[0] != item[0] else item[0])
    return f"{line}, worst error {error:.2g} ({share:.2g} of its tolerance) in {key}"
