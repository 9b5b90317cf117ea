"""OpenID Connect as the settings have it."""

from recorder.settings.definitions import ConsoleSettings
from signaling.console.oidc.terms import OidcTerms


def oidc_terms(console: ConsoleSettings) -> OidcTerms | None:
    """None where no provider is named."""
    if console.oidc_issuer is None:
        return None
    return OidcTerms(
        issuer=console.oidc_issuer,
        client_id=console.oidc_client_id,
        client_secret=console.oidc_client_secret,
        scopes=tuple(console.oidc_scopes),
        roles_claim=console.oidc_roles_claim,
        agent_roles=tuple(console.oidc_agent_roles),
        supervisor_roles=tuple(console.oidc_supervisor_roles),
        administrator_roles=tuple(console.oidc_administrator_roles),
        account_claim=console.oidc_account_claim,
    )
