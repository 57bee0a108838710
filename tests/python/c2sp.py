"""Checks a proof file with somebody else's code: aics-tlog for the checkpoint, its cosignatures and the inclusion.

Usage: c2sp.py FILE KEY [WITNESS=KEY]...   Ed25519 keys, base64: the originator's, and of each witness, all of which must
have cosigned. Prints what was found as JSON.
"""

import base64
import json
import sys

import aics_tlog
from aics_tlog.cosign import cosignature_vkey


def sections(text):
    """The parts of a C2SP tlog-proof: extra, index, hashes, note."""
    head, note = text.split("\n\n", 1)
    lines = head.split("\n")
    assert lines.pop(0) == "c2sp.org/tlog-proof@v1"
    extra = base64.b64decode(lines.pop(0).removeprefix("extra "), validate=True)
    index = int(lines.pop(0).removeprefix("index "))
    return extra, index, [base64.b64decode(line, validate=True) for line in lines], note


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def entry(extra):
    """The entry's bytes: the evidence's first field is the view, which begins with the entry and its length."""
    assert extra[0] == 0x0A
    length, at = varint(extra, 1)
    view = extra[at : at + length]
    return view[2 : 2 + int.from_bytes(view[:2], "big")]


file, key, *witnesses = sys.argv[1:]
with open(file, encoding="utf-8") as text:
    extra, index, hashes, note = sections(text.read())
parsed = aics_tlog.parse_note(note)
checkpoint = aics_tlog.parse_checkpoint(parsed.text)
log_key = aics_tlog.vkey_from_ed25519(checkpoint.origin, base64.b64decode(key))
domain = checkpoint.origin.split("/")[0]
witness_keys = []
for witness in witnesses:
    name, public = witness.split("=", 1)
    witness_keys.append(cosignature_vkey(f"{domain}/{name}", base64.b64decode(public)))
result = aics_tlog.verify_checkpoint(parsed, log_key, witness_keys, quorum=len(witness_keys))
included = aics_tlog.verify_leaf_inclusion(entry(extra), index, checkpoint.size, hashes, checkpoint.root)
other = aics_tlog.verify_leaf_inclusion(entry(extra) + b"x", index, checkpoint.size, hashes, checkpoint.root)
print(json.dumps({
    "origin": checkpoint.origin,
    "size": checkpoint.size,
    "index": index,
    "checkpoint": bool(result.ok),
    "cosigned_by": result.witnesses,
    "included": included,
    "another_entry_included": other,
}))
