"""How the brokers are reached, in the words of the client library. Loads no library.

login     none        user                 (of the settings)
no tls    PLAINTEXT   SASL_PLAINTEXT
tls       SSL         SASL_SSL
"""

from __future__ import annotations

from vxutils.store.access import AccessError, client_context, secret
from vxutils.store.kafka.errors import KafkaNotAllowed
from vxutils.store.kafka.settings import KafkaLogin


def connection_settings(brokers: str, login: KafkaLogin | None) -> dict[str, str]:
    """What every client of these brokers needs. Raises: KafkaNotAllowed, if a file can not be used."""
    found = {"bootstrap.servers": brokers}
    if login is None:
        return found
    tls = login.tls
    try:
        if tls is not None:
            client_context(tls)  # for a sentence that names the file; the library makes its own
            found |= {
                "ssl.ca.location": tls.ca or "probe",
                "ssl.endpoint.identification.algorithm": "https" if tls.check_name else "none",
            }
            if tls.certificate:
                found |= {"ssl.certificate.location": tls.certificate, "ssl.key.location": tls.key}
        if login.user:
            found |= {
                "sasl.mechanism": login.mechanism,
                "sasl.username": login.user,
                "sasl.password": secret(login.password, login.password_file),
            }
    except AccessError as error:
        raise KafkaNotAllowed(f"Kafka at {brokers}: {error}") from None
    protocol = "SSL" if tls is not None else "PLAINTEXT"
    return found | {"security.protocol": f"SASL_{protocol}" if login.user else protocol}
