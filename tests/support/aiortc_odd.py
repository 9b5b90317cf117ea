"""aiortc made to behave like publishers that are not browsers: other certificates, ICE-lite."""

import datetime
import functools

import aioice
from aiortc import RTCCertificate, RTCPeerConnection
from aiortc.rtcdtlstransport import SRTPProtectionProfile
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL


class _RsaCertificate(RTCCertificate):
    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(b"ECDHE-RSA-AES128-GCM-SHA256")
        return context


def use_rsa_certificate(connection: RTCPeerConnection) -> None:
    """Let a connection that has made no offer yet identify itself by RSA, as GStreamer of Debian 12 does."""
    key = rsa.generate_private_key(65_537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rsa")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1))
    signed = builder.not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    own = _RsaCertificate(key=key, cert=signed)  # type: ignore[arg-type]
    for transceiver in connection.getTransceivers():
        transceiver.sender.transport._RTCDtlsTransport__local_certificate = own


def make_lite(connection: RTCPeerConnection) -> None:
    """Let a connection that has made no offer yet do as an ICE-lite agent: answer checks, and send none."""
    for transceiver in connection.getTransceivers():
        agent = transceiver.sender.transport.transport._connection
        agent._tie_breaker = 0  # aiortc makes it controlling later on: it gives in to whoever leads
        agent.check_start_task = functools.partial(_believe, agent)


def _believe(agent: aioice.Connection, pair: aioice.ice.CandidatePair) -> None:
    agent.check_state(pair, aioice.ice.CandidatePair.State.SUCCEEDED)
