"""The command `bystander`. Workers import this module again, so it imports nothing heavy by itself."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recorder.kernel.errors import BystanderError, caller_error

if TYPE_CHECKING:
    from recorder.app import Listening
    from recorder.settings.definitions import Settings

EXIT_FAILED = 1
EXIT_MISUSED = 2  # as argparse exits: the arguments or the settings are wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, or says whose fault it was."""
    own = parser()
    given, rest = own.parse_known_args(arguments)
    if rest and given.command not in ("demo", "load"):  # which read their own
        own.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return int(given.run(given, rest))
    except BystanderError as error:
        print(f"bystander: {error.code}: {error.detail}", file=sys.stderr)
        return EXIT_MISUSED if error.code in ("invalid_settings", "invalid_properties") else EXIT_FAILED


def _serve(given: argparse.Namespace, _: list[str]) -> int:
    settings = _settings(given)  # before the imports, which take a second: a typing error is told at once
    import uvloop

    from recorder.app import serve
    from recorder.node.logs import configure

    configure(settings.server.log_format, settings.server.log_level)
    uvloop.run(serve(settings, started=_announce))
    return 0


def _announce(listening: "Listening") -> None:
    if listening.api_key_file is not None:
        print(f"bystander: the API key is in {listening.api_key_file}")
    print(f"bystander: listening on {listening.url}", flush=True)


def _check(given: argparse.Namespace, _: list[str]) -> int:
    from media.check.file import main as check_file

    if Path(given.recording).exists():
        return check_file(given.recording)
    from recorder.check import fetched

    with fetched(_settings(given), given.recording) as file:
        return check_file(str(file))


def _storage_test(given: argparse.Namespace, _: list[str]) -> int:
    from recorder.archive.storage_test import test_configured

    result = asyncio.run(test_configured(_settings(given), given.store))
    for step in result["steps"]:
        verdict = "FAILED" if not step["ok"] else "warning" if step["warning"] else "ok"
        print(f"{verdict:<9}{step['name']:<18}{step['seconds']:.3f} s  {step['detail']}")
    print(
        "The storage can be used."
        if result["ok"]
        else "The storage cannot be used; servers on this data directory record nothing until a test passes."
    )
    return 0 if result["ok"] else EXIT_FAILED


def _storage_move(given: argparse.Namespace, _: list[str]) -> int:
    settings = _settings(given)
    from recorder.storage_move import move_configured

    async def show() -> tuple[int, int]:
        moved = kept = 0
        async for report in move_configured(
            settings,
            given.store,
            source=given.source,
            recordings=given.recordings or None,
            dry_run=given.dry_run,
        ):
            done = "would be moved" if given.dry_run else "moved"
            told = f"kept ({report.kept})" if report.kept else done
            print(f"{report.row.id}  {report.source} -> {given.store}  {told}", flush=True)
            kept, moved = kept + (report.kept is not None), moved + (report.kept is None)
        return moved, kept

    moved, kept = asyncio.run(show())
    print(f"{moved} {'would be moved' if given.dry_run else 'moved'}, {kept} kept.")
    return EXIT_FAILED if kept else 0


def _storage_list(given: argparse.Namespace, _: list[str]) -> int:
    from recorder.stores.commands import list_stores

    for line in asyncio.run(list_stores(_settings(given))):
        print(line)
    return 0


def _storage_accept(given: argparse.Namespace, _: list[str]) -> int:
    from recorder.stores.commands import accept

    print(asyncio.run(accept(_settings(given), given.store)))
    return 0


def _settings_import(given: argparse.Namespace, _: list[str]) -> int:
    from recorder.settings.vendor_import import main as import_file

    return import_file(given.file)


def _recover(given: argparse.Namespace, _: list[str]) -> int:
    from recorder.recover import RecoveryReport, give_up_kept, kept_summary, recover_all

    if given.give_up is not None:
        settings = _settings(given)
        asyncio.run(
            give_up_kept(
                settings,
                given.give_up,
                lambda kept: print(f"removing {kept.recording}  {kept_summary(kept)}", flush=True),
            )
        )
        return 0

    def show(report: RecoveryReport) -> None:
        print(f"{'ok' if report.done else 'FAILED':<7}{report.recording}  {report.summary}", flush=True)

    return 0 if asyncio.run(recover_all(_settings(given), show)) else EXIT_FAILED


def _retention(given: argparse.Namespace, _: list[str]) -> int:
    from recorder.deletion.retention import apply_configured

    done = "would be deleted" if given.dry_run else "deleted"
    outcomes, files = asyncio.run(apply_configured(_settings(given), dry_run=given.dry_run))
    for outcome in outcomes:
        told = f"kept ({outcome.kept})" if outcome.kept else done
        print(f"{outcome.row.id}  {outcome.row.ended_at:%Y-%m-%d}  {outcome.row.filename}  {told}")
    for report in files:
        told = f"kept ({report.kept})" if report.kept else done
        file = report.row.file
        print(f"{file.id}  {file.created_at:%Y-%m-%d}  {file.filename}  {told}")
    kept = [outcome.kept for outcome in outcomes] + [report.kept for report in files]
    print(f"{kept.count(None)} {done}.")
    return 0


def _database_move(given: argparse.Namespace, _: list[str]) -> int:
    from recorder.database_move import move_configured

    moved = asyncio.run(move_configured(_settings(given)))
    print(f"Moved: {', '.join(f'{count} {table}' for table, count in moved.items() if count) or 'nothing'}.")
    return 0


def _audit_verify(given: argparse.Namespace, _: list[str]) -> int:
    from recorder.audit.heads import parsed_head
    from recorder.audit.verification import verify_configured, verify_lines

    try:
        heads = [parsed_head(text) for text in given.head]
    except ValueError as error:
        raise caller_error("invalid_settings", f"--head: {error}") from None
    if given.file is None:
        report = asyncio.run(verify_configured(_settings(given), heads))
    else:
        with given.file.open() as lines:
            report = verify_lines(lines, heads)
    for fault in report.faults:
        print(f"{fault.kind:<11}entry {fault.sequence}: {fault.detail}")
    verdict = f"{len(report.faults)} entries are not as they were written" if report.faults else "Whole"
    print(f"{verdict}: {report.count} entries, {report.noted} noted heads.")
    print(f"head {report.head.sequence}:{report.head.hash}")
    return EXIT_FAILED if report.faults else 0


def _audit_export(given: argparse.Namespace, _: list[str]) -> int:
    from recorder.audit.verification import export_configured
    from recorder.kernel.audit.act import AuditSearch

    async def export() -> None:
        search = AuditSearch(after=given.after, conversation=given.conversation)
        async for line in export_configured(_settings(given), search):
            print(line)

    asyncio.run(export())
    return 0


def _doctor(given: argparse.Namespace, _: list[str]) -> int:
    from msgspec import json

    from recorder.doctor.examination import examine
    from recorder.doctor.finding import Finding, Verdict, failed, worst

    def show(finding: Finding) -> None:
        if not given.json:
            print(f"{finding.verdict:<9}{finding.name:<15}{finding.detail}", flush=True)
            if finding.remedy is not None:
                print(f"{'':<24}-> {finding.remedy}", flush=True)

    try:
        findings = asyncio.run(examine(_settings(given), show))
    except BystanderError as error:
        findings = [failed("settings", error.detail, "Correct bystander.toml: docs/settings.md.")]
        show(findings[0])
    verdict = worst(findings)
    if given.json:
        print(json.format(json.encode({"verdict": verdict, "findings": findings})).decode())
    return EXIT_FAILED if verdict is Verdict.FAILED else 0


def _completion(given: argparse.Namespace, _: list[str]) -> int:
    from recorder.command.completion import script

    print(script(parser(), given.shell), end="")
    return 0


def _man(given: argparse.Namespace, _: list[str]) -> int:
    from recorder.command.man_page import page

    print(page(parser()), end="")
    return 0


def _demo(_: argparse.Namespace, rest: list[str]) -> int:
    from recorder.demo.main import run

    return run(rest)


def _load(_: argparse.Namespace, rest: list[str]) -> int:
    from recorder.load.main import run

    return run(rest)


def _settings(given: argparse.Namespace) -> "Settings":
    """File and variables, and over them what the command line says."""
    from recorder.settings.loading import load

    said = {
        "BYSTANDER_SERVER__HOST": getattr(given, "host", None),
        "BYSTANDER_SERVER__PORT": getattr(given, "port", None),
        "BYSTANDER_SERVER__DATA_DIR": given.data_dir,
    }
    variables = {**os.environ, **{name: value for name, value in said.items() if value is not None}}
    return load(given.config, variables)


def parser() -> argparse.ArgumentParser:
    """The command with all its subcommands and options."""
    whole = argparse.ArgumentParser(prog="bystander", description="Records WebRTC conversations.")
    whole.add_argument("--version", action=_Version)
    commands = whole.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, help="default: ./bystander.toml where there is one")
    common.add_argument("--data-dir", help="default: ./data")

    serve = commands.add_parser("serve", parents=[common], help="run the server")
    serve.add_argument("--host", help="address to listen on; default 127.0.0.1")
    serve.add_argument("--port", help="default 8080; 0 picks a free one")
    serve.set_defaults(run=_serve)

    check = commands.add_parser("check", parents=[common], help="say whether a recording is whole")
    check.add_argument("recording", metavar="FILE|RECORDING", help="a file, or the id of a recording")
    check.set_defaults(run=_check)

    storage = commands.add_parser("storage", help="about the object store")
    about = storage.add_subparsers(dest="about", required=True)
    test = about.add_parser("test", parents=[common], help="try the configured store")
    test.add_argument("store", nargs="?", default="default", metavar="NAME", help="which; default: default")
    test.set_defaults(run=_storage_test)
    listing = about.add_parser("list", parents=[common], help="the stores that anything was recorded into")
    listing.set_defaults(run=_storage_list)
    moving = about.add_parser(
        "move", parents=[common], help="take recordings to another store; again after a kill goes on"
    )
    moving.add_argument("store", metavar="TARGET", help="the name of the store to move to")
    moving.add_argument("recordings", nargs="*", metavar="RECORDING", default=None, help="these only")
    moving.add_argument("--from", dest="source", metavar="NAME", help="only what lies in this store")
    moving.add_argument("--dry-run", action="store_true", help="only say what would be moved")
    moving.set_defaults(run=_storage_move)
    accepting = about.add_parser(
        "accept", parents=[common], help="use a store that lost its mark (store_changed): it is the right one"
    )
    accepting.add_argument("store", metavar="NAME")
    accepting.set_defaults(run=_storage_accept)

    settings = commands.add_parser("settings", help="about settings")
    of_settings = settings.add_subparsers(dest="about", required=True)
    importing = of_settings.add_parser("import", help="print another product's properties as our settings")
    importing.add_argument("file", metavar="FILE", type=Path, help="Java-style properties")
    importing.set_defaults(run=_settings_import)

    recover = commands.add_parser("recover", parents=[common], help="complete what is not stored yet")
    recover.add_argument(
        "--give-up",
        metavar="RECORDING",
        help="instead: remove for good what is kept of a recording that is not proved to be stored whole",
    )
    recover.set_defaults(run=_recover)

    retention = commands.add_parser(
        "retention", parents=[common], help="delete recordings that are older than retention.days"
    )
    retention.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    retention.set_defaults(run=_retention)

    database = commands.add_parser("database", help="about the database")
    of_database = database.add_subparsers(dest="about", required=True)
    moving = of_database.add_parser(
        "move", parents=[common], help="bring the data directory's SQLite to the configured PostgreSQL"
    )
    moving.set_defaults(run=_database_move)

    audit = commands.add_parser("audit", help="about the audit log")
    of_audit = audit.add_subparsers(dest="about", required=True)
    verify = of_audit.add_parser(
        "verify", parents=[common], help="say whether an entry was changed, removed or reordered, and which"
    )
    verify.add_argument("file", metavar="FILE", type=Path, nargs="?", help="an export; default: the database")
    verify.add_argument(
        "--head", metavar="SEQUENCE:HASH", action="append", default=[], help="a head that was noted elsewhere"
    )
    verify.set_defaults(run=_audit_verify)
    export = of_audit.add_parser("export", parents=[common], help="print entries as JSON Lines")
    export.add_argument(
        "--after", metavar="SEQUENCE", type=int, default=0, help="only entries after this one"
    )
    export.add_argument("--conversation", help="only entries about this one")
    export.set_defaults(run=_audit_export)

    doctor = commands.add_parser(
        "doctor", parents=[common], help="look for what is wrong with the settings and the machine"
    )
    doctor.add_argument("--json", action="store_true", help="print all findings as one JSON object")
    doctor.set_defaults(run=_doctor)

    completion = commands.add_parser("completion", help="print what completes this command in a shell")
    completion.add_argument("shell", choices=("bash", "zsh", "fish"), help="whose completion")
    completion.set_defaults(run=_completion)

    man = commands.add_parser("man", help="print the man page")
    man.set_defaults(run=_man)

    demo = commands.add_parser("demo", add_help=False, help="record a call of two synthetic participants")
    demo.set_defaults(run=_demo)

    load = commands.add_parser(
        "load", add_help=False, help="hold many calls, and judge a server by their files"
    )
    load.set_defaults(run=_load)
    return whole


class _Version(argparse.Action):
    """Looks the version up only when asked."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from recorder.version import bystander_version

        print(f"bystander {bystander_version()}")
        parser.exit()
