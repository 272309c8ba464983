"""The report as one self-contained page.

Owns: the page and its escaping. Must not know: pytest, containers; it is made of the JSON form
alone. There is no script, and the page forbids all of them: what a container or a caller printed
can do nothing there, and it works where CI systems show pages in a sandbox.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from contract_tests.html_report_charts import latencies, timeline
from contract_tests.report import place, printable

VERDICTS = ("fail", "error", "warn", "blocked", "skip", "pass")
OPEN = {"fail", "error", "warn"}
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

ROWS = (
    ("clause", "clause"),
    ("expected", "expected"),
    ("actual", "actual"),
    ("reason", "reason"),
    ("on AWS", "aws_shows"),
    ("fix", "fix"),
    ("ignored", "ignored"),
    ("would be", "ignored_verdict"),
    ("declared", "declared_level"),
)
COMMANDS = (("repeat", "reproduce"), ("log", "log_tail"))


def page(reports: Sequence[Mapping[str, Any]]) -> str:
    """One page for all images of a run."""
    title = ", ".join(str(report["image"]["reference"]) for report in reports)
    style = files("contract_tests").joinpath("html_report.css").read_text(encoding="utf-8")
    counts = {v: sum(report["counts"].get(v, 0) for report in reports) for v in VERDICTS}
    body = "".join(_image(number, report) for number, report in enumerate(reports))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>byoc: {words(title)}</title>\n<style>\n{style}{_filter_rules()}</style>\n"
        f"</head>\n<body>\n{_boxes(counts)}<main>\n{body}</main>\n</body>\n</html>\n"
    )


def words(text: object) -> str:
    """Any text, as text."""
    return escape(printable(str(text)))


def _boxes(counts: Mapping[str, int]) -> str:
    """The filter. The boxes are the body's own children, so that CSS alone can ask them."""
    return "".join(
        f'<input class="v" type="checkbox" id="v-{verdict}" checked>'
        f'<label class="v {verdict}" for="v-{verdict}">{verdict} {counts[verdict]}</label>\n'
        for verdict in VERDICTS
        if counts[verdict]
    )


def _filter_rules() -> str:
    rules = []
    for verdict in VERDICTS:
        box = f"#v-{verdict}:checked ~ main"
        rules.append(f"{box} details.{verdict}, {box} .c-{verdict} {{ display: block; }}\n")
    return "".join(rules)


def _image(number: int, report: Mapping[str, Any]) -> str:
    parts = [f'<article id="image-{number}">', _head(report), _broken(number, report)]
    checks = sorted(report["checks"], key=lambda check: place(check["chapter"]))
    chapters = dict.fromkeys(check["chapter"] for check in checks)
    for chapter in chapters:
        mine = [check for check in checks if check["chapter"] == chapter]
        kinds = " ".join(dict.fromkeys(f"c-{check['verdict']}" for check in mine))
        rows = "".join(_check(number, check) for check in mine)
        heading = f"<h2>{words(chapter)}</h2>"
        parts.append(f'<section class="chapter {kinds}">{heading}{rows}</section>')
    if start := report.get("start"):
        parts.append("<h2>The container's start</h2><div class=card>" + timeline(start) + "</div>")
    if requests := report.get("requests"):
        drawn = latencies(requests, report["limits"])
        note = "Answers while each check ran; red, dashed: the platform's limit."
        parts.append(f"<h2>Latency</h2><div class=card><small>{note}</small>{drawn}</div>")
    if gaps := report.get("not_checked"):
        items = "".join(_gap(gap) for gap in gaps)
        fold = f"<summary>{len(gaps)} clauses that only AWS can judge</summary><ul>{items}</ul>"
        parts.append(f"<h2>Not checked</h2><details class=card>{fold}</details>")
    return "".join([*parts, "</article>\n"])


def _head(report: Mapping[str, Any]) -> str:
    image, engine = report["image"], report["engine"]
    size = int(image["size_bytes"]) / 2**20
    facts = [
        image["platform"], f"{size:.0f} MiB", str(image["id"])[:19],
        f"{report['profile']}, {report['limits'].get('memory_mb', '?')} MB",
        f"{engine['name']} {engine['version']}", f"byoc {report['tool']['version']}",
        report["started"], f"{report['seconds']:.1f} s",
    ]  # fmt: skip
    result = str(report["result"])
    pill = f'<span class="pill {escape(result)}">{words(result)}</span>'
    lines = [
        f"<h1>{pill} {words(image['reference'])}</h1>",
        f"<p class=muted>{words(' · '.join(map(str, facts)))}</p>",
    ]
    lines += [f"<p>{words(note)}</p>" for note in report.get("notes", ())]
    return "".join(lines)


def _broken(number: int, report: Mapping[str, Any]) -> str:
    """What to look at first, each a link to its place."""
    items = "".join(
        f'<li><a class="{escape(check["verdict"])}" href="#{number}-{words(check["id"])}">'
        f"{words(check['id'])}</a> {words(_first(check['actual'] or check['reason']))}</li>"
        for verdict in VERDICTS
        for check in report["checks"]
        if check["verdict"] == verdict and verdict in OPEN
    )
    lines = [f"<ul>{items}</ul>"] if items else []
    if missing := report.get("musts_not_judged"):
        silent = f"{len(missing)} MUST not judged: {words(', '.join(missing))}"
        lines.append(f"<p class=muted>{silent}</p>")
    return "".join(lines)


def _check(number: int, check: Mapping[str, Any]) -> str:
    verdict = check["verdict"]
    said = (check["actual"] or check["reason"]) if verdict != "pass" else ""
    shown = f'<span class="said">{words(_first(said or check["clause"]))}</span>'
    rows = [_pair(name, words(check[key])) for name, key in ROWS if check.get(key)]
    link = _link(check["link"], f"{check['source']} ({check['evidence']})")
    rows.append(_pair("source", link))
    rows += [
        _pair(name, f'<pre tabindex="0">{words(check[key])}</pre>')
        for name, key in COMMANDS
        if check.get(key)
    ]
    opened = " open" if verdict in OPEN else ""
    label = "ignored" if check.get("ignored") else verdict
    return (
        f'<details class="check {escape(verdict)}" id="{number}-{words(check["id"])}"{opened}>'
        f'<summary><span class="pill">{words(label)}</span> <b>{words(check["id"])}</b>'
        f"<small>{words(check['level'])} · {check['seconds']:.2f} s</small>{shown}</summary>"
        f"<dl>{''.join(rows)}</dl></details>"
    )


def _first(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 160 else line[:159] + "…"


def _pair(name: str, value: str) -> str:
    return f"<dt>{name}</dt><dd>{value}</dd>"


def _link(address: str, text: str) -> str:
    """Only to the web: no other scheme becomes a link."""
    if not str(address).startswith(("https://", "http://")):
        return words(text)
    return f'<a href="{escape(address)}" rel="noopener noreferrer">{words(text)}</a>'


def _gap(gap: Mapping[str, Any]) -> str:
    return (
        f"<li>{words(gap['clause'])} <span class=muted>{words(gap['reason'])}</span>"
        f" {_link(gap['link'], gap['source'])}</li>"
    )
