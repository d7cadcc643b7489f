"""The installation's own time-stamp authority, as RFC 3161 describes one: what answers a request for a time stamp.

A time stamp says when a manifest was signed, so that it stays Trusted after the signer's certificate has expired. What
this authority says is worth what its clock and its key are worth: production names another one (TIMESTAMP_URL).
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

POLICY = "1.3.6.1.4.1.99999.1.1"  # an object id of our own making: "stamped by a Backlot installation"
DIGEST_BYTES = {"sha256": 32, "sha384": 48, "sha512": 64}


class BadRequest(Exception):
    """No time-stamp request that can be answered; the message says what is wrong with it."""


@dataclass(frozen=True)
class Authority:
    """The key that stamps, with its chain: PEM text, the stamping certificate first."""

    certificates: str
    private_key: str


def reply(request: bytes, authority: Authority, now: datetime) -> bytes:
    """The DER of a TimeStampResp to the DER of a TimeStampReq. Raises BadRequest."""
    try:
        asked = tsp.TimeStampReq.load(request, strict=True)
        imprint = asked["message_imprint"]
        algorithm, digest = imprint["hash_algorithm"]["algorithm"].native, imprint["hashed_message"].native
        nonce, wants_certificates = asked["nonce"].native, asked["cert_req"].native
    except (ValueError, TypeError) as error:
        raise BadRequest(f"not a time-stamp request: {error}") from error
    if DIGEST_BYTES.get(algorithm) != len(digest):
        raise BadRequest(f"a digest of {len(digest)} bytes by {algorithm} can't be stamped")
    stamp = {
        "version": "v1",
        "policy": POLICY,
        "message_imprint": imprint,
        "serial_number": secrets.randbits(127) + 1,
        "gen_time": now.replace(microsecond=0),
        "accuracy": {"seconds": 1},
    }
    if nonce is not None:
        stamp["nonce"] = nonce
    token = _token(tsp.TSTInfo(stamp), authority, with_certificates=bool(wants_certificates))
    return tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token}).dump()


def _token(stamp: tsp.TSTInfo, authority: Authority, *, with_certificates: bool) -> cms.ContentInfo:
    chain = [
        asn1_x509.Certificate.load(certificate.public_bytes(serialization.Encoding.DER))
        for certificate in x509.load_pem_x509_certificates(authority.certificates.encode())
    ]
    sha256 = algos.DigestAlgorithm({"algorithm": "sha256"})
    content = stamp.dump()
    attributes = _signed_attributes(content, chain[0])
    key = serialization.load_pem_private_key(authority.private_key.encode(), password=None)
    signer = cms.SignerInfo(
        {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                "issuer_and_serial_number",
                cms.IssuerAndSerialNumber(
                    {"issuer": chain[0].issuer, "serial_number": chain[0].serial_number}
                ),
            ),
            "digest_algorithm": sha256,
            "signed_attrs": attributes,
            "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}),
            # What is signed is the attributes as a plain set, not under the tag that they carry in the message.
            "signature": key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256())),
        }
    )
    data = {
        "version": "v3",
        "digest_algorithms": [sha256],
        "encap_content_info": {"content_type": "tst_info", "content": core.ParsableOctetString(content)},
        "signer_infos": [signer],
    }
    if with_certificates:
        data["certificates"] = [cms.CertificateChoices("certificate", certificate) for certificate in chain]
    return cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(data)})


def _signed_attributes(content: bytes, certificate: asn1_x509.Certificate) -> cms.CMSAttributes:
    identity = tsp.ESSCertIDv2({"cert_hash": hashlib.sha256(certificate.dump()).digest()})
    return cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
            cms.CMSAttribute({"type": "message_digest", "values": [hashlib.sha256(content).digest()]}),
            cms.CMSAttribute(
                {
                    "type": "signing_certificate_v2",
                    "values": [tsp.SigningCertificateV2({"certs": [identity]})],
                }
            ),
        ]
    )


def digest(text: str) -> str:
    """sha256 of a text, hex: a name for what it holds."""
    return hashlib.sha256(text.encode()).hexdigest()
