//! C2SP `tlog-cosignature`, Ed25519: a witness's statement that all it has seen of a log fits one history.
//!
//! ```text
//! cosignature/v1                             signed: a header line, a time line, then the whole text of the checkpoint
//! time 1679315147
//! demo.icomm.example/KE/main
//! 5
//! Tju7H3tHjc/nH7YxYxUZo7yhLJrvyhYSv85ME6hiZNQ=
//!
//! — demo.icomm.example/RILO-ESA jWbPPwAAAABkGF…   on the note: base64(key id 4 ‖ time u64 BE ‖ signature 64)
//! ```
//!
//! The key id is the start of SHA-256(key name ‖ 0x0A ‖ 0x04 ‖ Ed25519 key), so that a witness's line is never taken for
//! the originator's, whoever has which key.

use icomm_pki::{MemberKey, MemberPublicKey, Signature};

use super::note::{InvalidNote, NOTE_SIGNATURES_MAX, NotSigned, NoteSignature, SignedNote, check_name, typed_key_id};

/// The signature type of an Ed25519 cosignature.
const COSIGNATURE: u8 = 0x04;

/// The latest time that a cosignature may state, in seconds since 1970.
pub const COSIGNATURE_TIME_MAX: u64 = i64::MAX as u64;

/// The key id of a witness's Ed25519 key under a name.
pub fn cosigner_key_id(name: &str, key: &[u8; 32]) -> [u8; 4] {
    typed_key_id(name, COSIGNATURE, key)
}

impl SignedNote {
    /// Adds the statement of the witness `name`, that at `time` (seconds since 1970) this checkpoint was the largest
    /// consistent one that it had seen of the log. It takes the place of an earlier one of the same witness.
    ///
    /// # Errors
    /// `name` is no key name, `time` is beyond [`COSIGNATURE_TIME_MAX`], the note has no room for another line, or the key
    /// does not sign.
    pub fn cosign(&mut self, name: &str, key: &MemberKey, time: u64) -> Result<(), NotSigned> {
        check_name(name)?;
        if time > COSIGNATURE_TIME_MAX {
            return Err(InvalidNote::CosignatureTime(time).into());
        }
        let key_id = cosigner_key_id(name, key.public().as_bytes());
        let signature = key.sign_raw(&message(time, &self.text))?;
        let line = NoteSignature {
            name: name.to_owned(),
            key_id,
            signature: [&time.to_be_bytes()[..], signature.as_bytes()].concat(),
        };
        self.signatures.retain(|other| !other.is_of(name, key_id));
        if self.signatures.len() >= NOTE_SIGNATURES_MAX {
            return Err(InvalidNote::TooManySignatures.into());
        }
        self.signatures.push(line);
        Ok(())
    }

    /// When the witness `name` cosigned this note, in seconds since 1970; `None` if it did not.
    ///
    /// # Errors
    /// A line says that it is this witness's and does not verify, or there are two.
    pub fn cosigned(&self, name: &str, key: &MemberPublicKey) -> Result<Option<u64>, InvalidNote> {
        let id = cosigner_key_id(name, key.as_bytes());
        let mut lines = self.signatures.iter().filter(|line| line.is_of(name, id));
        let Some(line) = lines.next() else {
            return Ok(None);
        };
        let wrong = || InvalidNote::WrongSignature(name.to_owned());
        let (time, signature) = line.signature.split_first_chunk::<8>().ok_or_else(wrong)?;
        let time = u64::from_be_bytes(*time);
        if lines.next().is_some() || time > COSIGNATURE_TIME_MAX {
            return Err(wrong());
        }
        let signature = Signature::try_from(signature).map_err(|_| wrong())?;
        key.verify_raw(&message(time, &self.text), &signature)
            .map_err(|_| wrong())?;
        Ok(Some(time))
    }
}

/// What a witness signs.
fn message(time: u64, text: &str) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
}

#[cfg(test)]
mod tests;
