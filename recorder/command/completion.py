"""`bystander completion`: what a shell has to know of the command to complete it; made of its own parser.

Pure: a parser in, a script out.
"""

import argparse
from collections.abc import Iterator
from typing import NamedTuple

SHELLS = ("bash", "zsh", "fish")


class Level(NamedTuple):
    """What may follow after some words: subcommands and options, with what each does."""

    words: tuple[str, ...]
    choices: dict[str, str]
    takes_file: bool
    help: str


def levels(parser: argparse.ArgumentParser, words: tuple[str, ...] = (), help_: str = "") -> Iterator[Level]:
    """The command itself, and each of its subcommands."""
    choices: dict[str, str] = {}
    inner: dict[str, argparse.ArgumentParser] = {}
    takes_file = False
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            inner = dict(action.choices)
            choices |= {sub.dest: sub.help or "" for sub in action._choices_actions}
        elif action.option_strings:
            choices[max(action.option_strings, key=len)] = action.help or ""
        else:
            takes_file = True
            choices |= dict.fromkeys(map(str, action.choices or ()), action.help or "")
    yield Level(words, choices, takes_file, help_)
    for name, subparser in inner.items():
        yield from levels(subparser, (*words, name), choices[name])


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The completion script for one of SHELLS."""
    found = list(levels(parser))
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](parser.prog, found)


def _bash(name: str, found: list[Level]) -> str:
    cases = "\n".join(
        f'    "{" ".join(level.words)}") choices="{" ".join(level.choices)}" ;;' for level in found
    )
    return f"""# bash completion for {name}: {name} completion bash > /etc/bash_completion.d/{name}
_{name}() {{
  local here="${{COMP_WORDS[COMP_CWORD]}}" words="" choices="" word
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$word" in -*) ;; *) words="${{words:+$words }}$word" ;; esac
  done
  while :; do
    choices=""
    case "$words" in
{cases}
    esac
    [ -n "$choices" ] || [ -z "$words" ] && break
    case "$words" in *" "*) words="${{words% *}}" ;; *) words="" ;; esac
  done
  COMPREPLY=($(compgen -W "$choices" -- "$here") $(compgen -f -- "$here"))
}}
complete -o filenames -F _{name} {name}
"""


def _zsh(name: str, found: list[Level]) -> str:
    cases = "\n".join(
        f"    ({_quoted(' '.join(level.words))}) choices=({' '.join(_described(level))}) ;;"
        for level in found
    )
    return f"""#compdef {name}
# zsh completion: {name} completion zsh > "${{fpath[1]}}/_{name}"
_{name}() {{
  local -a choices plain
  local key
  plain=(${{(@)${{(@)words[2,CURRENT-1]}}:#-*}})
  while :; do
    key="${{(j: :)plain}}"
    choices=()
    case "$key" in
{cases}
    esac
    (( ${{#choices}} || ! ${{#plain}} )) && break
    plain=(${{(@)plain[1,-2]}})
  done
  _describe '{name}' choices
  _files
}}
compdef _{name} {name}
"""


def _fish(name: str, found: list[Level]) -> str:
    lines = [f"# fish completion: {name} completion fish > ~/.config/fish/completions/{name}.fish"]
    for level in found:
        seen = " and ".join(f"__fish_seen_subcommand_from {word}" for word in level.words)
        inner = " ".join(choice for choice in level.choices if not choice.startswith("-"))
        condition = seen.replace(" and ", "; and ") if seen else "__fish_use_subcommand"
        if seen and inner:
            condition += f"; and not __fish_seen_subcommand_from {inner}"
        files = "" if level.takes_file or level.words else " -f"
        for choice, what in level.choices.items():
            given = f"-l {choice[2:]}" if choice.startswith("--") else f"-a {choice}"
            lines.append(f"complete -c {name}{files} -n {_quoted(condition)} {given} -d {_quoted(what)}")
    return "\n".join(lines) + "\n"


def _described(level: Level) -> list[str]:
    """As _describe takes them: `choice:what it does`."""
    return [_quoted(f"{choice}:{what}" if what else choice) for choice, what in level.choices.items()]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
