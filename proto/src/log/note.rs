//! C2SP `signed-note`: a text with the signatures over it.
//!
//! ```text
//! example.org/KE/main                      the text: UTF-8 without control characters but newline, ending in one
//! 20852163
//! CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
//!                                          an empty line (the last one of the note)
//! — example.org/KE/main Az3grlgtzPIC…      em dash, space, key name, space, base64(key id 4 ‖ signature), newline
//! ```
//!
//! The key id is the start of SHA-256(key name ‖ 0x0A ‖ 0x01 ‖ Ed25519 key). A line from an unknown key is ignored,
//! as the specification demands; a line from the known key that does not verify makes the whole note worthless.

use std::fmt;

use data_encoding::BASE64;
use icomm_pki::{MemberKey, MemberPublicKey, Signature, SigningError};
use sha2::{Digest, Sha256};

/// The longest note accepted, in bytes.
pub const NOTE_BYTES_MAX: usize = 1 << 20;

/// The most signature lines accepted on a note.
pub const NOTE_SIGNATURES_MAX: usize = 100;

/// The signature type of plain Ed25519 (C2SP `signed-note`).
const ED25519: u8 = 0x01;

/// A note whose form is right. Nothing is known about its signatures until [`verify`](Self::verify).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    // INVARIANT: ends in a newline and holds no other control character.
    pub(super) text: String,
    // INVARIANT: at least one, at most `NOTE_SIGNATURES_MAX`.
    pub(super) signatures: Vec<NoteSignature>,
}

/// One signature line, of any key and algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    pub(super) name: String,
    pub(super) key_id: [u8; 4],
    pub(super) signature: Vec<u8>,
}

/// The key id of an Ed25519 key under a name.
pub fn key_id(name: &str, key: &[u8; 32]) -> [u8; 4] {
    typed_key_id(name, ED25519, key)
}

/// The key id of a key under a name, for one type of signature.
pub(super) fn typed_key_id(name: &str, signature_type: u8, key: &[u8; 32]) -> [u8; 4] {
    let mut sha = Sha256::new();
    sha.update(name.as_bytes());
    sha.update([b'\n', signature_type]);
    sha.update(key);
    let [a, b, c, d, ..]: [u8; 32] = sha.finalize().into();
    [a, b, c, d]
}

impl SignedNote {
    /// Signs a text under a key name.
    ///
    /// # Errors
    /// The text or the name can't stand in a note, or the key does not sign.
    pub fn sign(text: String, name: &str, key: &MemberKey) -> Result<Self, NotSigned> {
        check_text(&text)?;
        check_name(name)?;
        let signature = key.sign_raw(text.as_bytes())?;
        let line = NoteSignature {
            name: name.to_owned(),
            key_id: key_id(name, key.public().as_bytes()),
            signature: signature.as_bytes().to_vec(),
        };
        Ok(Self {
            text,
            signatures: vec![line],
        })
    }

    /// Parses a note strictly: any line that is not a signature line after the last empty line refuses it.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidNote> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(InvalidNote::TooLong(bytes.len()));
        }
        let note = str::from_utf8(bytes).map_err(|_| InvalidNote::NotUtf8)?;
        let (text, lines) = note.rsplit_once("\n\n").ok_or(InvalidNote::NoSignature)?;
        let text = format!("{text}\n");
        check_text(&text)?;
        let lines = lines.strip_suffix('\n').ok_or(InvalidNote::Unfinished)?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == NOTE_SIGNATURES_MAX {
                return Err(InvalidNote::TooManySignatures);
            }
            signatures.push(NoteSignature::parse(line)?);
        }
        Ok(Self { text, signatures })
    }

    /// The signed text, with its last newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines, verified or not.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// The note with those of its lines that `keep` names, if any is left.
    pub fn filtered(&self, keep: impl Fn(&NoteSignature) -> bool) -> Option<Self> {
        let signatures: Vec<_> = self.signatures.iter().filter(|line| keep(line)).cloned().collect();
        (!signatures.is_empty()).then(|| Self {
            text: self.text.clone(),
            signatures,
        })
    }

    /// Adds the signature lines of another note over the same text, without those that are here already.
    pub fn merge(&mut self, other: Self) -> Result<(), InvalidNote> {
        if other.text != self.text {
            return Err(InvalidNote::OtherText);
        }
        for line in other.signatures {
            if self.signatures.contains(&line) {
                continue;
            }
            if self.signatures.len() == NOTE_SIGNATURES_MAX {
                return Err(InvalidNote::TooManySignatures);
            }
            self.signatures.push(line);
        }
        Ok(())
    }

    /// Verifies that `key`, under the key name `name`, signed this note: at least one line is its, and every line that
    /// says so verifies.
    pub fn verify(&self, name: &str, key: &MemberPublicKey) -> Result<(), InvalidNote> {
        let id = key_id(name, key.as_bytes());
        let mut lines = self.signatures.iter().filter(|line| line.is_of(name, id)).peekable();
        if lines.peek().is_none() {
            return Err(InvalidNote::NotSignedBy(name.to_owned()));
        }
        for line in lines {
            let wrong = || InvalidNote::WrongSignature(name.to_owned());
            let signature = Signature::try_from(line.signature.as_slice()).map_err(|_| wrong())?;
            key.verify_raw(self.text.as_bytes(), &signature).map_err(|_| wrong())?;
        }
        Ok(())
    }

    /// The note as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl NoteSignature {
    /// The name of the key, as the line gives it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the key, as the line gives it.
    pub fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    /// Whether the line says that it is by this key of this name.
    pub(super) fn is_of(&self, name: &str, key_id: [u8; 4]) -> bool {
        self.name == name && self.key_id == key_id
    }

    fn parse(line: &str) -> Result<Self, InvalidNote> {
        let malformed = || InvalidNote::SignatureLine(line.chars().take(80).collect());
        let (name, signature) = line
            .strip_prefix("— ")
            .and_then(|rest| rest.split_once(' '))
            .ok_or_else(malformed)?;
        check_name(name).map_err(|_| malformed())?;
        let bytes = BASE64.decode(signature.as_bytes()).map_err(|_| malformed())?;
        let (key_id, signature) = bytes.split_first_chunk::<4>().ok_or_else(malformed)?;
        if signature.is_empty() {
            return Err(malformed());
        }
        Ok(Self {
            name: name.to_owned(),
            key_id: *key_id,
            signature: signature.to_vec(),
        })
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.key_id.as_slice(), &self.signature].concat();
        write!(f, "— {} {}", self.name, BASE64.encode(&bytes))
    }
}

fn check_text(text: &str) -> Result<(), InvalidNote> {
    if !text.ends_with('\n') {
        return Err(InvalidNote::Unfinished);
    }
    if text.chars().any(|c| c < ' ' && c != '\n') {
        return Err(InvalidNote::ControlCharacter);
    }
    Ok(())
}

pub(super) fn check_name(name: &str) -> Result<(), InvalidNote> {
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c == '+' || c < ' ') {
        return Err(InvalidNote::Name(name.chars().take(80).collect()));
    }
    Ok(())
}

/// Why a note is refused. Parsing errors and wrong signatures are the fault of whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNote {
    /// Beyond [`NOTE_BYTES_MAX`].
    #[error("a note of {0} bytes is longer than {NOTE_BYTES_MAX}")]
    TooLong(usize),
    /// Not UTF-8.
    #[error("the note is not UTF-8")]
    NotUtf8,
    /// A control character other than newline.
    #[error("the note has a control character")]
    ControlCharacter,
    /// The text or the last signature line does not end in a newline.
    #[error("the note does not end in a newline")]
    Unfinished,
    /// No empty line, so no signature.
    #[error("the note has no signature")]
    NoSignature,
    /// A line after the last empty line is not a signature line.
    #[error("`{0}` is not a signature line")]
    SignatureLine(String),
    /// Beyond [`NOTE_SIGNATURES_MAX`].
    #[error("the note has more than {NOTE_SIGNATURES_MAX} signatures")]
    TooManySignatures,
    /// A key name is empty or has spaces or a plus.
    #[error("`{0}` is not a key name: it is empty or has a space or plus in it")]
    Name(String),
    /// A cosignature can't state a time beyond [`COSIGNATURE_TIME_MAX`](super::COSIGNATURE_TIME_MAX).
    #[error("a cosignature can't be of the time {0}")]
    CosignatureTime(u64),
    /// Two notes over different texts can't be merged.
    #[error("the notes have different texts")]
    OtherText,
    /// No line by the expected key.
    #[error("the note is not signed by the known key of `{0}`")]
    NotSignedBy(String),
    /// A line by the expected key does not verify.
    #[error("the signature of `{0}` on the note is wrong")]
    WrongSignature(String),
}

/// Why a note was not signed. Ours.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotSigned {
    /// It can't be a note.
    #[error(transparent)]
    Note(#[from] InvalidNote),
    /// The key does not sign; it may later.
    #[error(transparent)]
    Key(#[from] SigningError),
}

#[cfg(test)]
pub(crate) mod tests;
