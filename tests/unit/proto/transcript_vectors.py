#!/usr/bin/python3
"""Prints the fixed values of transcript_test.c, computed from the description in transcript.h with
nothing but Python's own hashes."""
import hashlib
import hmac


def field(data):
    return len(data).to_bytes(4, "big") + data


def hkdf(salt, secret, info, size):  # RFC 5869
    key = hmac.digest(salt or bytes(32), secret, "sha256")
    result, block, n = b"", b"", 1
    while len(result) < size:
        block = hmac.digest(key, block + info + bytes([n]), "sha256")
        result, n = result + block, n + 1
    return result[:size]


def party(spki, name, capabilities):
    peer_id = hashlib.sha256(spki).hexdigest()[:32].encode()
    return field(spki) + field(peer_id) + field(name) + field(capabilities.to_bytes(8, "big"))


initiator = party(bytes(range(91)), b"desk", 1)
responder = party(bytes(255 - i for i in range(91)), "träge".encode(), 0x0102030405060708)
begin = (field(b"loopsy pairing") + field((1).to_bytes(4, "big"))
         + field(b"initiator") + initiator + field(b"responder") + responder
         + field(b"\x11" * 32))
initiator_share = field(b"\x22" * 65) + field(b"\x33" * 32)
responder_share = field(b"\x44" * 65) + field(b"\x55" * 32)
commitment = hashlib.sha256(field(b"commit") + begin + responder_share).digest()
whole = begin + field(commitment) + initiator_share + responder_share
key = hkdf(hashlib.sha256(whole).digest(), b"\x66" * 32, b"key", 32)
code = int.from_bytes(hkdf(b"", key, b"sas", 16), "big") % 10**6


def confirmation(role):
    return hmac.digest(key, field(b"confirm") + field(role) + whole, "sha256")


print("size", len(begin), len(whole))
print("begin", hashlib.sha256(begin).hexdigest())
print("whole", hashlib.sha256(whole).hexdigest())
print("commitment", commitment.hex())
print("key", key.hex())
print(f"code {code:06}")
print("initiator", confirmation(b"initiator").hex())
print("responder", confirmation(b"responder").hex())
for n in range(4):  # K = 32 times n
    print(f"code of {n}: {int.from_bytes(hkdf(b'', bytes([n]) * 32, b'sas', 16), 'big') % 10**6:06}")
