"""Whose a port for plain RTP is: its interaction's for as long as that runs, whoever else asks for it."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from recorder.kernel.connectors.source import RtpCodec, RtpSource, RtpStream
from recorder.kernel.conversation import InteractionKind
from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import TriggeringMode
from recorder.settings.definitions import ConnectorSettings
from storage.stores.memory import MemoryStore
from tests.recorder.node import Node, open_node, settings_for
from tests.support.ports import OWN_ADDRESS

FIRST, LAST = 18_100, 18_107  # four pairs: two for each account
TARGETS = ConnectorSettings(
    targets=["127.0.0.1"], rtp_address=OWN_ADDRESS, rtp_port_min=FIRST, rtp_port_max=LAST
)


def sound(port: int = 0) -> RtpSource:
    """One stream, which asks for this port."""
    audio = RtpStream(codec=RtpCodec.OPUS, payload_type=111, port=port)
    return RtpSource(senders=["127.0.0.1"], audio=audio)


async def opened(tmp_path: Path, stack: AsyncExitStack) -> Node:
    """A node that records nothing of itself: nobody ever listens on its ports."""
    settings = msgspec.structs.replace(
        settings_for(tmp_path, triggering_mode=TriggeringMode.MANUAL), connectors=TARGETS
    )
    return await open_node(tmp_path, stack, MemoryStore(), settings, warm=False)


async def begun(node: Node, account: str, source: RtpSource) -> tuple[str, str, int]:
    """A conversation of the account, its interaction, and the port that it was given."""
    conversation = await node.conversations.create(
        template=None, external_id=None, metadata={}, account=account
    )
    interaction = await node.conversations.start_interaction(
        conversation.id, kind=InteractionKind.CALL, layer=None
    )
    status = await node.composed.connectors.begin(conversation.id, interaction.id, source)
    (line,) = [line for line in (status.sdp or "").splitlines() if line.startswith("m=")]
    return conversation.id, interaction.id, int(line.split()[1])


async def test_a_port_is_its_interactions_until_that_ends(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        node = await opened(tmp_path, stack)
        conversation, interaction, port = await begun(node, "north", sound(FIRST))
        assert port == FIRST
        for account in ("north", "south"):
            with pytest.raises(BystanderError, match="rtp_port_taken"):
                await begun(node, account, sound(FIRST))
        await node.composed.connectors.end(interaction)
        conversation, _, _ = await begun(node, "south", sound(FIRST))
        await node.conversations.end(conversation)
        assert (await begun(node, "north", sound(FIRST)))[2] == FIRST


async def test_a_port_is_its_interactions_after_a_restart(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        await begun(await opened(tmp_path, stack), "north", sound(FIRST))
    async with AsyncExitStack() as stack:
        node = await opened(tmp_path, stack)
        with pytest.raises(BystanderError, match="rtp_port_taken"):
            await begun(node, "south", sound(FIRST))


async def test_of_two_that_ask_at_once_one_is_given_it(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        node = await opened(tmp_path, stack)
        asked = [begun(node, account, sound(FIRST)) for account in ("north", "south")]
        came = await asyncio.gather(*asked, return_exceptions=True)
        refused = [one for one in came if isinstance(one, BystanderError)]
        assert [error.code for error in refused] == ["rtp_port_taken"]


async def test_an_account_has_its_part_and_no_more(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        node = await opened(tmp_path, stack)
        ours = [await begun(node, "north", sound()) for _ in range(2)]
        with pytest.raises(BystanderError, match="too_many_rtp_ports"):
            await begun(node, "north", sound())
        theirs = [await begun(node, "south", sound()) for _ in range(2)]
        assert len({port for _, _, port in ours + theirs}) == 4
