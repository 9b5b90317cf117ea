"""The man page, written from the command's own parser: `bystander man > deploy/bystander.1`. Pure."""

import argparse
from collections.abc import Iterator

from recorder.command.completion import levels

_BEGINNING = r""".\" Written by `bystander man`; not by hand.
.TH BYSTANDER 1 "" "Bystander" "User Commands"
.SH NAME
bystander \- records WebRTC conversations into fragmented MP4
.SH SYNOPSIS
.B bystander
.I command
.RI [ options ]
.SH DESCRIPTION
A self-hosted recorder of WebRTC conversations. Settings are read from
.IR bystander.toml ,
from variables such as
.BR BYSTANDER_SERVER__PORT ,
and from the options below, each over the one before.
.SH COMMANDS
"""
_END = r""".SH EXIT STATUS
0 when all is well, 1 when something failed or is not whole, 2 when the command or the settings are wrong.
.SH SIGNALS
.TP
.B SIGTERM, SIGINT
.B serve
takes no new recordings, ends and stores the running ones, and exits.
.TP
.B SIGUSR2
.B serve
leaves running recordings to their workers and exits; the next server goes on with them without a gap.
.SH FILES
.TP
.I ./bystander.toml
the settings, where no
.B \-\-config
is given
.TP
.I ./data
database, spools, secrets and logs of workers, where no
.B \-\-data\-dir
is given
"""


def page(of: argparse.ArgumentParser) -> str:
    """The whole page, in man(7)'s language."""
    return _BEGINNING + "".join(_commands(of)) + _END


def _commands(of: argparse.ArgumentParser) -> Iterator[str]:
    for level in levels(of):
        if level.words:
            yield f".SS {_escaped(' '.join(level.words))}\n{_sentence(level.help)}\n"
        options = {name: what for name, what in level.choices.items() if name.startswith("-")}
        for name, what in options.items():
            if name != "--help":
                yield f".TP\n.B {_escaped(name)}\n{_escaped(what)}\n"


def _sentence(text: str) -> str:
    return _escaped(text[:1].upper() + text[1:] + "." if text else "")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")
