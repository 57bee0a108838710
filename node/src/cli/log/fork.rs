//! The off-line half of `icomm log verify` for proofs of forks.

use icomm_pki::AuthorityCertificate;
use icomm_proto::log::Checkpoint;
use icomm_proto::{Fork, ForkProof};
use serde_json::{Value, json};

use crate::{
    causes::chain,
    cli::{
        Context, Exit, Failure,
        output::{count, moment},
    },
};

/// Checks one proof of a fork against a root certificate.
pub(super) fn verify(
    context: &Context,
    file: &str,
    proof: &[u8],
    root: &AuthorityCertificate,
) -> Result<Exit, Failure> {
    let checked = ForkProof::parse(proof).and_then(|proof| proof.verify(root));
    let answer = match &checked {
        Ok(fork) => proven_json(file, fork),
        Err(error) => json!({ "file": file, "verified": false, "reason": chain(error) }),
    };
    context.output.answer(&answer, || match &checked {
        Ok(fork) => proven_text(file, fork),
        Err(error) => format!("{file}: NOT VERIFIED: {}", chain(error)),
    })?;
    Ok(if checked.is_ok() { Exit::Ok } else { Exit::Failed })
}

fn proven_json(file: &str, fork: &Fork) -> Value {
    let signed = |checkpoint: &Checkpoint| json!({ "size": checkpoint.size, "root": checkpoint.root.to_base64() });
    json!({
        "file": file,
        "verified": true,
        "fork_of": fork.origin.to_string(),
        "signed": [signed(&fork.smaller), signed(&fork.larger)],
        "expected_root": fork.expected.to_base64(),
        "originator": {
            "member": fork.originator.member().to_string(),
            "role": fork.originator.role().to_string(),
            "key": fork.originator.key().to_base64(),
            "successor_key": fork.successor.as_ref().map(|successor| successor.key().to_base64()),
            "certificate_from": moment(fork.originator.validity().not_before()),
            "certificate_until": moment(fork.originator.validity().not_after()),
        },
    })
}

fn proven_text(file: &str, fork: &Fork) -> String {
    let Fork {
        origin,
        originator,
        successor: _,
        smaller,
        larger,
        expected,
    } = fork;
    format!(
        "{file}: verified: {origin} has two histories\n  the key of {} signed {} entries with the root {}\n  and {} \
         entries, the first {} of which have the root {}\n  its certificate counts from {} until {}",
        originator.member(),
        count(smaller.size),
        smaller.root.to_base64(),
        count(larger.size),
        count(smaller.size),
        expected.to_base64(),
        moment(originator.validity().not_before()),
        moment(originator.validity().not_after()),
    )
}
